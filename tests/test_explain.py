from __future__ import annotations

from typing import Any

import pytest
import yaml

from generator.documents.explain import findings
from generator.documents.wording import dotted

# A small experiment with every kind of rule. The table below breaks each of them once.
SCHEMA: dict[str, Any] = yaml.safe_load(r"""
type: object
required: [spec]
additionalProperties: false
properties:
  kind: {const: Experiment}
  spec:
    type: object
    additionalProperties: false
    properties:
      owner: {$ref: "#/$defs/owner", description: Team that answers for it. Nobody else does.}
      expires: {type: string, title: a date, pattern: "^[0-9]{4}(-[0-9]{2}){2}$", examples: ["2026-12-31"]}
      control: {type: string, examples: [v1]}
      note: {type: string, minLength: 3, maxLength: 10, pattern: "^[^#]*$"}
      replicas: {type: integer, minimum: 1, maximum: 9, multipleOf: 2}
      share: {type: number, exclusiveMinimum: 0, exclusiveMaximum: 1}
      paused: {type: boolean}
      steps:
        type: array
        minItems: 2
        maxItems: 3
        uniqueItems: true
        items: {type: integer}
        examples: [[20, 100]]
      traffic:
        type: object
        minProperties: 2
        maxProperties: 3
        propertyNames: {title: a variant name, pattern: "^[a-z][a-z0-9]*$", maxLength: 8, examples: [v1]}
        additionalProperties: {type: integer}
        examples: [{v1: 80, v2: 20}]
      labels: {type: object, additionalProperties: {type: string}}
      logging:
        type: object
        properties: {mode: {enum: [all, request, response]}, url: {examples: ["x://y"]}}
        required: [mode]
        dependentRequired: {sink: [url]}
      env: {anyOf: [{type: string}, {type: object, required: [secret]}]}
      model: {oneOf: [{required: [image]}, {required: [storageUri]}]}
      metric:
        oneOf:
          - {properties: {kind: {const: ratio}, of: {type: string}}, required: [kind, of]}
          - {properties: {kind: {const: mean}}, required: [kind, unit]}
      mode: {enum: [canary, shadow]}
      frozen: {not: {required: [until]}}
      zone: {not: {const: here}}
      old: {properties: {traffic: false}}
    if: {required: [mode]}
    then: {required: [owner]}
$defs:
  owner: {type: string, description: A name., examples: [recsys]}
""")

# What stands in spec; the path of the finding, and whether it is about the key there; the message; the fix.
TABLE = r"""
trafic: {}
  spec.trafic (key)
  `trafic` is not a field of spec
  did you mean `traffic`?

metric: {kind: ratio}
  spec.metric
  `of` is missing in spec.metric
  add of

mode: canary
  spec
  `owner` is missing in spec
  add owner, for example `owner: recsys`. Team that answers for it.

logging: {mode: all, sink: 1}
  spec.logging
  `url` is missing in spec.logging, and `sink` needs it
  add url, for example `url: x://y`

logging: {}
  spec.logging
  `mode` is missing in spec.logging
  add mode, for example `mode: all`

model: {}
  spec.model
  `image` or `storageUri` is missing in spec.model
  add one of them

model: {image: 1, storageUri: 2}
  spec.model
  `spec.model` may have only one of image, storageUri
  remove the others

control: 8
  spec.control
  `spec.control` must be a text, but is a number (8)
  write it in quotes: "8"

control: true
  spec.control
  `spec.control` must be a text, but is `true`
  write it in quotes: "true"

control: [v1]
  spec.control
  `spec.control` must be a text, but is a list
  write for example `control: v1`

control: null
  spec.control
  `spec.control` must be a text, but is empty
  write for example `control: v1`

replicas: '2'
  spec.replicas
  `spec.replicas` must be a whole number, but is a text (`2`)
  write it without quotes: 2

replicas: 2.5
  spec.replicas
  `spec.replicas` must be a whole number, but is a number (2.5)
  write a whole number

share: ''
  spec.share
  `spec.share` must be a number, but is an empty text
  write a number

paused: 'yes'
  spec.paused
  `spec.paused` must be true or false, but is a text (`yes`)
  write true or false, without quotes

steps: {a: 1}
  spec.steps
  `spec.steps` must be a list, but is a mapping
  write for example `steps: [20, 100]`

steps: [20, x]
  spec.steps[1]
  `spec.steps[1]` must be a whole number, but is a text (`x`)
  write a whole number

traffic: 80
  spec.traffic
  `spec.traffic` must be a mapping, but is a number (80)
  write for example `traffic: {v1: 80, v2: 20}`

env: 3
  spec.env
  `spec.env` must be a text or a mapping, but is a number (3)
  write it in quotes: "3"

env: {}
  spec.env
  `secret` is missing in spec.env
  add secret

labels: {a.b/c: 1}
  spec.labels["a.b/c"]
  `spec.labels["a.b/c"]` must be a text, but is a number (1)
  write it in quotes: "1"

logging: {mode: al}
  spec.logging.mode
  `spec.logging.mode` is `al`, which is not one of all, request, response
  did you mean `all`?

logging: {mode: Request}
  spec.logging.mode
  `spec.logging.mode` is `Request`, which is not one of all, request, response
  did you mean `request`?

logging: {mode: 7}
  spec.logging.mode
  `spec.logging.mode` is `7`, which is not one of all, request, response
  write one of them

metric: {kind: rato}
  spec.metric.kind
  `spec.metric.kind` is `rato`, which is not one of ratio, mean
  did you mean `ratio`?

expires: soon
  spec.expires
  `spec.expires` is `soon`, which is not a date
  write for example `expires: "2026-12-31"`

expires: "2026-12-31\n"
  spec.expires
  `spec.expires` is `2026-12-31\n`, which is not a date
  write for example `expires: "2026-12-31"`

note: 'see #1'
  spec.note
  `spec.note` is `see #1`, which is not of the form `^[^#]*$`
  write it in that form

note: ab
  spec.note
  `spec.note` has 2 characters, but needs at least 3
  add 1 character

note: ''
  spec.note
  `spec.note` is empty, but needs at least 3 characters
  add 3 characters

note: abcdefghijkl
  spec.note
  `spec.note` has 12 characters, but may have at most 10
  remove 2 characters

replicas: 0
  spec.replicas
  `spec.replicas` is 0, but must be at least 1
  write a number that is at least 1 and at most 9 and a multiple of 2

replicas: 12
  spec.replicas
  `spec.replicas` is 12, but must be at most 9
  write a number that is at least 1 and at most 9 and a multiple of 2

replicas: 3
  spec.replicas
  `spec.replicas` is 3, but must be a multiple of 2
  write a number that is at least 1 and at most 9 and a multiple of 2

share: 0
  spec.share
  `spec.share` is 0, but must be more than 0
  write a number that is more than 0 and less than 1

share: 1.5
  spec.share
  `spec.share` is 1.5, but must be less than 1
  write a number that is more than 0 and less than 1

steps: []
  spec.steps
  `spec.steps` is empty, but needs at least 2 entries
  write for example `steps: [20, 100]`

steps: [1, 2, 3, 4]
  spec.steps
  `spec.steps` has 4 entries, but may have at most 3
  remove 1 entry

steps: [20, 100, 20.0]
  spec.steps[2]
  `spec.steps[2]` is `20.0` once more, but each entry may stand only once
  remove it

traffic: {v1: 1}
  spec.traffic
  `spec.traffic` has 1 entry, but needs at least 2
  write for example `traffic: {v1: 80, v2: 20}`

traffic: {v1: 1, v2: 2, v3: 3, v4: 4}
  spec.traffic
  `spec.traffic` has 4 entries, but may have at most 3
  remove 1 entry

traffic: {V_2: 2, v1: 1}
  spec.traffic.V_2 (key)
  `V_2` in spec.traffic is not a variant name
  write for example `v1`

traffic: {v1: 1, v23456789: 2}
  spec.traffic.v23456789 (key)
  `v23456789` in spec.traffic has 9 characters, but may have at most 8
  remove 1 character

frozen: {until: 1}
  spec.frozen.until (key)
  `until` is not allowed in spec.frozen
  remove it

old: {traffic: 1}
  spec.old.traffic (key)
  `traffic` is not allowed in spec.old
  remove it

zone: here
  spec.zone
  `spec.zone` is `here`, which is not allowed here
  write something else
"""
CASES = [[line.strip() for line in case.splitlines()] for case in TABLE.strip().split("\n\n")]


@pytest.mark.parametrize(("spec", "place", "message", "fix"), CASES, ids=[case[2] for case in CASES])
def test_each_mistake_has_its_sentence(spec: str, place: str, message: str, fix: str) -> None:
    (finding,) = findings({"spec": yaml.safe_load(f"{{{spec}}}")}, SCHEMA)
    assert (finding.message, finding.fix) == (message, fix)
    assert dotted(finding.path) + " (key)" * finding.about_key == place


def test_every_mistake_is_told_at_once_and_in_order() -> None:
    spec = {
        "trafic": 1,
        "control": 8,
        "steps": ["a", 1, "b"],
        "logging": {"mode": "x", "sink": 1},
        "onwer": 1,
        "mode": "canary",
    }
    assert [dotted(finding.path) for finding in findings({"kind": "X", "spec": spec, "also": 1}, SCHEMA)] == [
        *("also", "kind", "spec.control", "spec.logging", "spec.logging.mode", "spec.onwer"),
        *("spec.steps[0]", "spec.steps[2]", "spec.trafic"),
    ]
