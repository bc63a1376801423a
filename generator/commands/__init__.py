"""The commands: one module for each, which holds its click command as `command`.

The table is what `penstock --help` prints, so that help need not load them all; a test compares it with what each says
of itself.
"""

from __future__ import annotations

COMMANDS = {
    "init": "Scaffold a GitOps repository.",
    "validate": "Check everything, write nothing.",
    "render": "Write the manifests of experiments.",
    "status": "Say how every experiment stands.",
    "diff": "Say what differs between two revisions.",
    "review": "Say what a change does to users.",
    "publish": "Commit experiments and what is rendered from them.",
    "plan": "Say how long an experiment takes.",
    "analyze": "Say what an experiment shows.",
    "promote": "Take the next step of an experiment's rollout.",
    "rollback": "Give control the traffic back.",
    "conclude": "End an experiment with a winner.",
    "advance": "Take the steps that are due, of all experiments that advance by themselves.",
    "report": "Tell the story of an experiment on one page.",
    "doctor": "Ask Prometheus what it really sees.",
    "schema": "Print the JSON Schema of a kind of file, for editors: a file is one layer, and may leave out anything.",
}
