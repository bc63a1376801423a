"""What KServe does, as data: bundled serving runtimes, limits on names, storage schemes.

Sources are files of kserve/kserve: config/runtimes/*.yaml (runtimes), pkg/constants/constants.go (names),
pkg/controller/v1beta1/inferenceservice/utils/utils.go (storage schemes, selection of a runtime).
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import NamedTuple

STANDARD = "Standard"
KNATIVE = "Knative"

# Label value `isvc.<name>-predictor` is at most 63 characters, and so is the host label
# `<name>-predictor-<namespace>` that KServe computes even for cluster-local services (ingress/domain.go).
# No webhook checks either: the InferenceService would be accepted and never become ready.
NAME_LIMIT = {STANDARD: 48, KNATIVE: 53}
NAME_AND_NAMESPACE_LIMIT = {STANDARD: 52, KNATIVE: 53}

# validateStorageURI in utils.go; Azure is recognised by the host of an https URI.
STORAGE_SCHEMES = (
    "gs", "s3", "pvc", "file", "https", "http", "hdfs", "webhdfs", "oci", "oci+native", "oci+fetch", "hf",
)  # fmt: skip

# Ports are declared on the container, since no bundled runtime does, and nothing undeclared can be scraped.
MODEL_PORT = 8080


class Runtime(NamedTuple):
    """A bundled ClusterServingRuntime: what it serves, how its model name is set and where its metrics are.

    `name_argument` or `name_env` sets the served model name; both empty means the artifact fixes it. Without
    `metrics_path` nothing is to be scraped.
    `formats` maps a model format, spelled exactly, to the versions listed for it.
    """

    name: str
    formats: dict[str, tuple[str, ...]]
    protocols: tuple[str, ...]
    name_argument: str = ""
    name_env: str = ""
    name_from_artifact: bool = False
    port: int = MODEL_PORT
    metrics_port: int = MODEL_PORT
    metrics_path: str = "/metrics"
    source: str = ""
    since: tuple[int, int] = (0, 16)

    def scrapable(self, mode: str) -> bool:
        """Tell whether a monitor gets to its metrics: Knative opens one port of a container."""
        return bool(self.metrics_path) and (mode == STANDARD or self.metrics_port == self.port)


def _python_server(name: str, formats: dict[str, tuple[str, ...]], since: tuple[int, int] = (0, 16)) -> Runtime:
    return Runtime(name, formats, ("v1", "v2"), name_argument="--model_name", source="kserve", since=since)


_ALL = (
    _python_server("kserve-sklearnserver", {"sklearn": ("1",)}),
    _python_server("kserve-xgbserver", {"xgboost": ("2",)}),
    _python_server("kserve-lgbserver", {"lightgbm": ("4",)}),
    _python_server("kserve-pmmlserver", {"pmml": ("3", "4")}),
    _python_server("kserve-paddleserver", {"paddle": ("2",)}),
    _python_server("kserve-autogluonserver", {"autogluon": ("1",)}, (0, 20)),
    _python_server("kserve-predictiveserver", {"sklearn": ("1",), "xgboost": ("2",), "lightgbm": ("4",)}, (0, 17)),
    Runtime(
        "kserve-mlserver",
        {
            "sklearn": ("0", "1"),
            "xgboost": ("1", "2"),
            "lightgbm": ("3", "4"),
            "mlflow": ("1", "2"),
        },
        ("v2",),
        name_env="MLSERVER_MODEL_NAME",
        metrics_port=8082,  # MLServer's settings.py; the runtime's own annotation says 8080 and is wrong
        source="mlserver",
    ),
    Runtime(
        "kserve-huggingfaceserver",
        {"huggingface": ("1",)},
        ("v1", "v2", "openai"),
        name_argument="--model_name",
        source="kserve",
    ),
    Runtime(
        "kserve-vllmserver",
        {"vLLM": ("1",)},
        ("openai",),
        name_argument="--served-model-name",
        source="vllm",
        since=(0, 20),
    ),
    Runtime(
        "kserve-tritonserver",
        {"tensorrt": ("8",), "tensorflow": ("1", "2"), "onnx": ("1",), "pytorch": ("1",), "triton": ("2",)},
        ("v2",),
        metrics_port=8002,
        source="triton",
    ),
    Runtime(
        "kserve-torchserve",
        {"pytorch": ("1",)},
        ("v1", "v2"),
        metrics_port=8082,
        source="torchserve",
    ),
    # TensorFlow Serving exports nothing to Prometheus without a configuration of its own (monitoring_config_file).
    Runtime("kserve-tensorflow-serving", {"tensorflow": ("1", "2")}, ("v1",), metrics_path=""),
)
RUNTIMES = {runtime.name: runtime for runtime in _ALL}
# The same files at the tag v0.16.0.
_BEFORE_0_17: dict[str, dict[str, tuple[str, ...]]] = {
    "kserve-xgbserver": {"xgboost": ("1",)},
    "kserve-lgbserver": {"lightgbm": ("3",)},
}

# Every bundled runtime requests this much and limits to it; an InferenceService that sets one half keeps the other.
RUNTIME_RESOURCES = {"cpu": "1", "memory": "2Gi"}


class Option(NamedTuple):
    """An option of a model server, with `-` between words, though some take `_`; and its shortest beginning.

    Python's argparse takes any beginning of an option that no other has: `--model_n` sets the name as well.
    """

    name: str
    shortest: str


# kserve/kserve: python/kserve/kserve/model_server.py; vllm-project/vllm: vllm/entrypoints/openai/cli_args.py;
# triton-inference-server/server: src/command_line_parser.cc; tensorflow/serving: model_servers/main.cc.
NAME_OPTIONS = (Option("--model-name", "--model-n"), Option("--served-model-name", "--ser"))
PORT_OPTIONS = (
    Option("--http-port", "--http-p"),
    Option("--port", "--por"),
    Option("--rest-api-port", "--rest-api-port"),
)
METRICS_PORT_OPTIONS = (Option("--metrics-port", "--metrics-p"),)
WORKERS_OPTION = Option("--workers", "--w")
# kserve/kserve: python/sklearnserver/sklearnserver/model.py and its like download what --model_dir names, and
# python/huggingfaceserver/huggingfaceserver/__main__.py what --model_id does; Triton and TensorFlow Serving open URIs.
# vllm-project/vllm: vllm/engine/arg_utils.py, for KServe's Hugging Face server too. Values are paths, URIs or names on
# the Hugging Face Hub; those of --lora-modules have a name before them.
LOADING_OPTIONS = (
    Option("--model-dir", "--model-d"),
    Option("--model-id", "--model-i"),
    Option("--model-repository", "--model-rep"),
    Option("--model-store", "--model-s"),
    Option("--model-base-path", "--model-b"),
    Option("--model", "--model"),
    Option("--tokenizer", "--tokenizer"),
    Option("--hf-config-path", "--hf-c"),
    Option("--lora-modules", "--lora-m"),
)
REMOTE_CODE_OPTION = Option("--trust-remote-code", "--trust")
# SeldonIO/MLServer: mlserver/settings.py. KServe's webhook sets the last to /mnt/models where it is not set.
LOADING_VARIABLE = "MLSERVER_MODEL_URI"
PORT_VARIABLE, METRICS_PORT_VARIABLE = "MLSERVER_HTTP_PORT", "MLSERVER_METRICS_PORT"


def given(args: Sequence[str], *options: Option) -> Iterator[tuple[int, str, str]]:
    """Yield the arguments that set one of the options: index, text and value, each of several that follow it."""
    for index, argument in enumerate(args):
        if _sets(argument, options):
            _name, equals, value = argument.partition("=")
            rest = takewhile(lambda one: not one.startswith("-"), args[index + 1 :])
            for one in [value] if equals else [*rest] or [""]:
                yield index, argument, one


@lru_cache(maxsize=1024)
def _sets(argument: str, options: tuple[Option, ...]) -> bool:
    """Tell whether an argument, with or without `=` and a value, sets one of the options."""
    name = argument.partition("=")[0].replace("_", "-")
    return any(option.name.startswith(name) and name.startswith(option.shortest) for option in options)


def runtimes(installed: tuple[int, int]) -> dict[str, Runtime]:
    """Return the bundled runtimes as that KServe lists them, later ones included: a rule says since when they are."""
    if installed >= (0, 17):
        return RUNTIMES
    return {
        name: runtime._replace(formats=_BEFORE_0_17.get(name, runtime.formats)) for name, runtime in RUNTIMES.items()
    }


def paths(protocol: str, runtime: Runtime, model: str) -> tuple[str, ...]:
    """Return what a server answers under for one model; of v2, the paths below too.

    protocol/rest/v1_endpoints.py, v2_endpoints.py; protocol/rest/openai of the Hugging Face server, vLLM's api_server.
    """
    if protocol == "v1":
        return (f"/v1/models/{model}:predict",)
    if protocol == "v2":
        return (f"/v2/models/{model}",)
    base = "/v1" if runtime.source == "vllm" else "/openai/v1"
    return tuple(f"{base}/{part}" for part in ("chat/completions", "completions", "embeddings"))


def version(text: str) -> tuple[int, int]:
    """Read a minor version such as `0.20` or `1.5.1`; the patch level decides nothing that is rendered."""
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def service(isvc: str) -> str:
    """Name of the Service, and of the Knative Configuration, of an InferenceService's predictor."""
    return f"{isvc}-predictor"
