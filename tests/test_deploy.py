"""The Kubernetes folder: valid manifests, settings that exist, services that are hardened, watched and told apart."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from newstide.core.settings import KafkaSettings, Settings

FOLDER = Path(__file__).parents[1] / "deploy" / "kubernetes"
KUBERNETES = "1.31"


def documents(*kinds: str) -> list[dict[str, Any]]:
    found = [one for path in sorted(FOLDER.glob("*.yaml")) for one in yaml.safe_load_all(path.read_text())]
    return [one for one in found if not kinds or one["kind"] in kinds]


def deployment(component: str) -> dict[str, Any]:
    (found,) = (one for one in documents("Deployment") if one["metadata"]["name"] == f"newstide-{component}")
    return found


def settings() -> dict[str, str]:
    lines = (FOLDER / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize(
    "document", documents(), ids=lambda one: f"{one['kind']}-{one.get('metadata', {}).get('name')}"
)
def test_every_manifest_is_what_kubernetes_takes(document: dict[str, Any]) -> None:
    if document["apiVersion"].split("/")[0] in ("kustomize.config.k8s.io", "keda.sh"):
        assert document["kind"] in ("Kustomization", "ScaledObject")  # of tools that stand beside Kubernetes
    else:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_the_kustomization_names_every_manifest_and_the_image_has_this_version() -> None:
    (kustomization,) = documents("Kustomization")
    assert set(kustomization["resources"]) == {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    from newstide import __version__

    assert kustomization["images"] == [{"name": "newstide", "newTag": __version__}]


def test_every_setting_exists_and_has_a_possible_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in settings().items():
        monkeypatch.setenv(name, value)
    assert Settings.load().milvus.uri is not None


def test_the_consumer_is_scaled_by_the_lag_of_its_own_group_and_by_no_more_than_there_are_partitions() -> None:
    (scaled,) = documents("ScaledObject")
    kafka = KafkaSettings()
    (trigger,) = scaled["spec"]["triggers"]
    assert scaled["spec"]["scaleTargetRef"]["name"] == deployment("consumer")["metadata"]["name"]
    assert "replicas" not in deployment("consumer")["spec"]
    assert trigger["type"] == "kafka"
    assert trigger["metadata"]["consumerGroup"] == kafka.group
    assert trigger["metadata"]["topic"] == kafka.topic
    assert trigger["metadata"]["bootstrapServers"] == settings()["NEWSTIDE_KAFKA_BOOTSTRAP_SERVERS"]
    assert scaled["spec"]["maxReplicaCount"] == kafka.partitions


def test_there_is_one_reclusterer_and_its_volume_is_let_go_before_the_next_takes_it() -> None:
    assert deployment("reclusterer")["spec"]["replicas"] == 1
    assert deployment("reclusterer")["spec"]["strategy"] == {"type": "Recreate"}


def test_there_is_one_watch_service_and_its_watches_can_be_used(tmp_path: Path) -> None:
    assert deployment("watch")["spec"]["replicas"] == 1
    assert deployment("watch")["spec"]["strategy"] == {"type": "Recreate"}
    settings = Settings.load(config=FOLDER / "watches.toml", data_dir=tmp_path)
    assert [watch.name for watch in settings.watch] == ["large stories"]


@pytest.mark.parametrize("component", ["consumer", "reclusterer", "watch", "web"])
def test_services_are_hardened_limited_and_watched(component: str) -> None:
    pod = deployment(component)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in ports
    assert ports["monitoring"] == int(settings()["NEWSTIDE_MONITORING_PORT"])
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
