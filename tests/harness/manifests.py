"""Kubernetes manifests as a cluster would take them: built by kustomize, held against schemas and the pod standard.

Tools and schemas of custom resources are Go modules, pinned with their hashes; the tools are built once.
"""

import base64
import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from ddpm.engine.cache import cache_dir, make_once
from ddpm.engine.progress import Progress
from ddpm.engine.toolchain import find_go

MANIFESTS = Path(__file__).parents[2] / "deployments" / "k8s"
# The newest three that are published.
KUBERNETES = ("1.35", "1.36", "1.37")
# The secrets that a person puts into the overlay for production.
SECRETS = {"postgres-password": "s3cret-of-the-test\n", "server-token": "0123456789abcdef0123456789abcdef\n"}

_MODULE = Path(__file__).parents[1] / "kubernetes"
_PROGRAMS = {"kustomize": "sigs.k8s.io/kustomize/kustomize/v5", "podstandard": "."}
# The engine is built with the same ones, so that Go compiles its own library once for both.
_FLAGS = ("-trimpath", "-buildvcs=false", "-ldflags", "-s -w")

Document = dict[str, Any]


@dataclass(frozen=True)
class Definition:
    """Where the schema of a custom resource is published: a module with its hash, and the file in it."""

    module: str
    sum: str
    file: str


DEFINITIONS = {
    "ScaledObject": Definition(
        "github.com/kedacore/keda/v2@v2.17.0",
        "h1:Msot3UuN6WOhaOaOcVmokmVM0cu3uqSGvnDgg1LkESU=",
        "config/crd/bases/keda.sh_scaledobjects.yaml",
    ),
    "ServiceMonitor": Definition(
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
}


@dataclass(frozen=True)
class KubernetesTools:
    """kustomize, the checker of pods, and the definitions of custom resources by kind."""

    folder: Path

    def build(self, overlay: str, scratch: Path) -> list[Document]:
        """The documents that `kubectl apply -k` would send, of a copy with the secrets that a person has to make."""
        copy = scratch / "k8s"
        shutil.copytree(MANIFESTS, copy)
        for name, value in SECRETS.items():
            (copy / "overlays" / "prod" / "secrets" / name).write_text(value)
        return [document for document in yaml.safe_load_all(self.kustomize(copy / overlay)) if document]

    def kustomize(self, folder: Path) -> str:
        """What kustomize prints; fails with what it says."""
        ran = subprocess.run(
            [self.folder / "kustomize", "build", folder], capture_output=True, text=True, check=False, timeout=60
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def forbidden(self, documents: list[Document]) -> list[str]:
        """What the restricted pod standard forbids in the pods of these documents, as Kubernetes itself decides it."""
        ran = subprocess.run(
            [self.folder / "podstandard", "restricted"],
            input=yaml.safe_dump_all(documents),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert ran.returncode in (0, 1), ran.stderr
        *found, checked = ran.stdout.splitlines()
        pods = sum("template" in document.get("spec", {}) for document in documents)
        assert checked == f"checked {pods}"
        return found

    def misfits(self, document: Document, version: str) -> list[str]:
        """What a Kubernetes of a version, or the maker of a custom resource, does not take of a document."""
        if document["kind"] not in DEFINITIONS:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                return [error.message]
            return []
        definition = yaml.safe_load((self.folder / f"{document['kind']}.yaml").read_text())
        wanted = document["apiVersion"].rpartition("/")[2]
        (schema,) = [each["schema"] for each in definition["spec"]["versions"] if each["name"] == wanted]
        validator = jsonschema.Draft202012Validator(_closed(schema["openAPIV3Schema"]))
        return [error.message for error in validator.iter_errors(document)]


def kubernetes_tools(progress: Progress) -> KubernetesTools:
    """Build and fetch them, once for each content of what pins them."""
    pins = [*sorted(_MODULE.iterdir()), Path(__file__)]
    key = hashlib.sha256(b"\0".join(pin.read_bytes() for pin in pins)).hexdigest()[:16]
    return KubernetesTools(
        make_once(cache_dir() / "test-tools" / f"kubernetes-{key}", lambda part: _make(part, progress))
    )


def _make(folder: Path, progress: Progress) -> None:
    go = find_go(progress)

    def run(*command: str) -> str:
        ran = subprocess.run(
            [go.path, *command], cwd=_MODULE, env=go.environment(), capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    with progress.step("Building what checks the manifests"):
        for name, package in _PROGRAMS.items():
            run("build", *_FLAGS, "-o", str(folder / name), package)
        for kind, definition in DEFINITIONS.items():
            fetched = json.loads(run("mod", "download", "-json", definition.module))
            assert fetched["Sum"] == definition.sum, f"{definition.module} is another one than the pinned one"
            shutil.copyfile(Path(fetched["Dir"]) / definition.file, folder / f"{kind}.yaml")


def _closed(schema: Document) -> Document:
    """The schema with every unknown field forbidden: a cluster would drop it without a word."""
    closed = dict(schema)
    for key in ("items", "additionalProperties"):
        if isinstance(closed.get(key), dict):
            closed[key] = _closed(closed[key])
    if "properties" in closed:
        closed["properties"] = {name: _closed(each) for name, each in closed["properties"].items()}
        # Of metadata a definition says only that it is an object.
        if "additionalProperties" not in closed and not closed.get("x-kubernetes-preserve-unknown-fields"):
            closed["additionalProperties"] = False
    return closed


def one(documents: list[Document], kind: str) -> Document:
    """The only document of a kind."""
    (found,) = [document for document in documents if document["kind"] == kind]
    return found


def secret_files(secret: Document, folder: Path) -> dict[str, Path]:
    """Write the values of a Secret as files, as a pod sees them."""
    files = {name: folder / name for name in secret["data"]}
    for name, file in files.items():
        file.write_bytes(base64.b64decode(secret["data"][name]))
    return files
