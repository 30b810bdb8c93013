"""The manifests: what kustomize makes of them, whether clusters take it, and whether the parts fit each other.

How a pod behaves is shown with processes, in `tests/faults/test_rollout.py`.
"""

import copy
import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from ddpm.config.model import parse_duration, parse_size
from ddpm.deadletters.service import DeadLetterService
from ddpm.engine.progress import Progress
from ddpm.observability.recent import RecentLog
from ddpm.server.api import Sources
from ddpm.server.app import create
from ddpm.server.guard import AccessPolicy
from ddpm.supervisor.runner import Supervisor
from harness.manifests import KUBERNETES, Document, KubernetesTools, kubernetes_tools, one, secret_files
from harness.process import ddpm

OVERLAYS = ("overlays/dev", "overlays/prod")
# ddpm ends an engine by force 5 s after its drain, closes its server within 5 s, and needs some time around that.
AFTER_THE_DRAIN = 15
DDPM_ITSELF = 200_000_000
MEBI = {"Mi": 2**20, "Gi": 2**30}


@pytest.fixture(scope="session")
def tools(progress: Progress) -> KubernetesTools:
    return kubernetes_tools(progress)


@pytest.fixture(scope="session", params=OVERLAYS)
def documents(request: pytest.FixtureRequest, tools: KubernetesTools, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What `kubectl apply -k` sends."""
    return tools.build(request.param, tmp_path_factory.mktemp("manifests"))


@pytest.fixture(scope="session")
def prod(tools: KubernetesTools, tmp_path_factory: pytest.TempPathFactory) -> list[Document]:
    return tools.build("overlays/prod", tmp_path_factory.mktemp("prod"))


@pytest.fixture(scope="session")
def dev(tools: KubernetesTools, tmp_path_factory: pytest.TempPathFactory) -> list[Document]:
    return tools.build("overlays/dev", tmp_path_factory.mktemp("dev"))


def app_of(documents: list[Document]) -> Document:
    app: Document = yaml.safe_load(one(documents, "ConfigMap")["data"]["app-config.yaml"])["app"]
    return app


def pod_of(documents: list[Document], kind: str = "Deployment") -> Document:
    pod: Document = one(documents, kind)["spec"]["template"]
    return pod


def container_of(documents: list[Document], kind: str = "Deployment") -> Document:
    (container,) = pod_of(documents, kind)["spec"]["containers"]
    return dict(container)


def selects(selector: Document, pod: Document) -> bool:
    labels: dict[str, str] = pod["metadata"]["labels"]
    return all(labels.get(name) == value for name, value in selector["matchLabels"].items())


def bytes_of(quantity: str) -> int:
    return int(quantity[:-2]) * MEBI[quantity[-2:]]


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_kubernetes_takes_every_document(documents: list[Document], tools: KubernetesTools, version: str) -> None:
    found = {f"{each['kind']}/{each['metadata']['name']}": tools.misfits(each, version) for each in documents}
    assert {name: misfits for name, misfits in found.items() if misfits} == {}


def test_the_schemas_find_what_is_wrong(prod: list[Document], tools: KubernetesTools) -> None:
    """A check that takes everything would prove nothing."""
    broken = copy.deepcopy(prod)
    one(broken, "Deployment")["spec"]["replicaz"] = 2
    one(broken, "ScaledObject")["spec"]["maxReplicas"] = 2
    one(broken, "ServiceMonitor")["spec"]["endpoints"][0]["interval"] = "now and then"
    for kind in ("Deployment", "ScaledObject", "ServiceMonitor"):
        assert tools.misfits(one(broken, kind), KUBERNETES[-1]), kind


def test_pods_meet_the_restricted_standard_and_their_namespace_demands_it(
    documents: list[Document], tools: KubernetesTools
) -> None:
    assert tools.forbidden(documents) == []
    namespace = one(documents, "Namespace")["metadata"]
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {each["metadata"].get("namespace") for each in documents} == {None, namespace["name"]}


@pytest.mark.parametrize("missing", ["allowPrivilegeEscalation", "capabilities"])
def test_the_standard_is_really_asked(dev: list[Document], tools: KubernetesTools, missing: str) -> None:
    broken = copy.deepcopy(dev)
    del one(broken, "Job")["spec"]["template"]["spec"]["containers"][0]["securityContext"][missing]
    (found,) = tools.forbidden(broken)
    assert missing in found and found.startswith("Job/ddpm-provision")


def test_pods_have_no_token_no_writable_root_and_folders_for_what_ddpm_writes(documents: list[Document]) -> None:
    assert one(documents, "ServiceAccount")["automountServiceAccountToken"] is False
    for kind in ("Deployment", "Job"):
        pod, container = pod_of(documents, kind)["spec"], container_of(documents, kind)
        assert pod["automountServiceAccountToken"] is False
        assert pod["serviceAccountName"] == one(documents, "ServiceAccount")["metadata"]["name"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        writable = {each["name"] for each in pod["volumes"] if "emptyDir" in each}
        mounted = {each["mountPath"] for each in container["volumeMounts"] if each["name"] in writable}
        assert mounted == {container["workingDir"], "/tmp"}  # noqa: S108 -- a folder of the container


def test_the_configuration_is_one_that_ddpm_takes(documents: list[Document], tmp_path: Path) -> None:
    pod, container = pod_of(documents)["spec"], container_of(documents)
    text = one(documents, "ConfigMap")["data"]["app-config.yaml"]
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert container["args"] == ["run", "--config", f"{mounts['config']}/app-config.yaml"]
    assert container_of(documents, "Job")["args"] == ["provision", *container["args"][1:]]
    (volume,) = [each["secret"] for each in pod["volumes"] if each["name"] == "secrets"]
    secret = one(documents, "Secret")
    assert volume["secretName"] == secret["metadata"]["name"]
    files = secret_files(secret, tmp_path)
    assert set(re.findall(rf"\$\{{file:{mounts['secrets']}/([a-z-]+)\}}", text)) == set(files)
    file = tmp_path / "app-config.yaml"
    file.write_text(text.replace(mounts["secrets"], str(tmp_path)))
    ran = ddpm("validate", "--config", str(file), cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "warning" not in ran.stderr


def test_the_grace_period_is_longer_than_a_drain(documents: list[Document]) -> None:
    drain = parse_duration(app_of(documents)["engine"]["drain"])
    assert isinstance(drain, float)
    assert pod_of(documents)["spec"]["terminationGracePeriodSeconds"] >= drain + AFTER_THE_DRAIN


def test_the_memory_is_enough_for_the_engines_and_ddpm(documents: list[Document]) -> None:
    app = app_of(documents)
    engines = parse_size(app["engine"]["memory_limit"])
    assert isinstance(engines, int)
    limit = bytes_of(container_of(documents)["resources"]["limits"]["memory"])
    assert limit >= engines * app.get("replicas", 1) + DDPM_ITSELF


def test_probes_ports_and_paths_are_those_of_the_server(documents: list[Document]) -> None:
    supervisor = Supervisor([])
    sources = Sources(supervisor, {}, RecentLog(), threading.Event().is_set, DeadLetterService(lambda: False))
    paths = create(sources, tuple, AccessPolicy()).openapi()["paths"]
    container = container_of(documents)
    (port,) = container["ports"]
    assert port["containerPort"] == app_of(documents)["server"].get("port", 4195)
    probes = {name: each["httpGet"] for name, each in container.items() if name.endswith("Probe")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }
    assert {probe["path"] for probe in probes.values()} <= set(paths)
    (entry,) = one(documents, "Service")["spec"]["ports"]
    (ingress,) = one(documents, "NetworkPolicy")["spec"]["ingress"]
    named = {probe["port"] for probe in probes.values()} | {entry["targetPort"], ingress["ports"][0]["port"]}
    assert named == {port["name"]}
    for monitor in (each for each in documents if each["kind"] == "ServiceMonitor"):
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] == entry["name"] and endpoint["path"] in paths
        assert selects(monitor["spec"]["selector"], one(documents, "Service"))


def test_selectors_select_the_pods_that_they_mean(documents: list[Document]) -> None:
    pods, job = pod_of(documents), pod_of(documents, "Job")
    service = {"matchLabels": one(documents, "Service")["spec"]["selector"]}
    spread = [each["labelSelector"] for each in pods["spec"]["topologySpreadConstraints"]]
    budget = one(documents, "PodDisruptionBudget")["spec"]["selector"]
    for selector in (one(documents, "Deployment")["spec"]["selector"], service, budget, *spread):
        assert selects(selector, pods) and not selects(selector, job)
    policy = one(documents, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert selects(policy["podSelector"], pods) and selects(policy["podSelector"], job)


def test_pods_may_reach_what_the_configuration_names_and_nothing_else(documents: list[Document]) -> None:
    app = app_of(documents)
    allowed: dict[int, set[str | None]] = {}
    for rule in one(documents, "NetworkPolicy")["spec"]["egress"]:
        peers = {each["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for each in rule.get("to", [])}
        for port in rule["ports"]:
            allowed[port["port"]] = peers or {None}
    needed = {53: "kube-system"}
    for address in (*app["kafka"]["brokers"], urlsplit(re.sub(r"\$\{[^}]*\}", "x", app["postgres"]["url"])).netloc):
        host, _, port = address.rpartition("@")[2].rpartition(":")
        # Of a Service of another namespace the second label is that namespace.
        needed[int(port)] = host.split(".")[1] if "." in host else ""
    assert set(allowed) == set(needed)
    assert all(allowed[port] <= {None, namespace} for port, namespace in needed.items())


def test_production_scales_by_the_lag_of_its_own_group_and_never_beyond_its_partitions(prod: list[Document]) -> None:
    app, spec = app_of(prod), one(prod, "ScaledObject")["spec"]
    (trigger,) = spec["triggers"]
    metadata = trigger["metadata"]
    assert [metadata["bootstrapServers"]] == app["kafka"]["brokers"]
    assert [metadata["topic"]] == app["kafka"]["topics"]
    assert metadata["consumerGroup"] == app["kafka"]["consumer_group"]
    assert (metadata["allowIdleConsumers"], metadata["limitToPartitionsWithLag"]) == ("false", "true")
    assert spec["scaleTargetRef"]["name"] == one(prod, "Deployment")["metadata"]["name"]
    assert 2 <= spec["minReplicaCount"] < spec["maxReplicaCount"]
    assert spec["maxReplicaCount"] * app["replicas"] <= app["kafka"]["min_partitions"]
    assert "scale" not in app, "two scalers of the same engines would work against each other"
    assert "replicas" not in one(prod, "Deployment")["spec"], "each apply would undo what the autoscaler did"


def test_development_has_a_single_pod_that_asks_for_less(dev: list[Document], prod: list[Document]) -> None:
    assert one(dev, "Deployment")["spec"]["replicas"] == 1
    small, large = (bytes_of(container_of(each)["resources"]["requests"]["memory"]) for each in (dev, prod))
    assert small < large
    assert {each["kind"] for each in prod} - {each["kind"] for each in dev} == {"ScaledObject", "ServiceMonitor"}
