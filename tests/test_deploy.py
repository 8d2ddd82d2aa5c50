"""What is deployed with: the image, compose, Ray's own launcher and Kubernetes, as far as an engine is not needed.

hadolint reads the Dockerfile, the Compose specification's own schema the compose files; both come as packages. Whether
an image builds, and whether a cluster comes up, is not known from here.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
KUBERNETES: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text("utf-8")))
ALLOWED = "STREAMLIT_SERVER_ALLOWED_HOSTS"
FILES = [ROOT / "Dockerfile", ROOT / "compose.yaml", *sorted((ROOT / "deploy").iterdir())]


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = (each for each in KUBERNETES if each["kind"] == kind)
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="hadolint comes as a package for Linux alone")
def test_the_dockerfile_is_sound():
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint
    done = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_compose_files_keep_to_the_specification():
    files = ["compose.yaml", "deploy/gpu.yaml", "deploy/login.yaml"]
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_holds_what_there_is_and_runs_as_nobody_in_particular():
    copied = [word for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.M) for word in line.split()[:-1]]
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert copied and all((ROOT / each).exists() for each in copied)
    assert set(copied) == set(kept)
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.M)[-1] == "${USER_ID}"
    (number,) = re.findall(r"^ARG USER_ID=(\d+)$", DOCKERFILE, re.M)
    pods = [of_kind("Deployment"), *of_kind("RayCluster")["spec"]["workerGroupSpecs"]]
    pods = [each.get("spec", each)["template"] for each in pods] + [
        of_kind("RayCluster")["spec"]["headGroupSpec"]["template"]
    ]
    assert {str(pod["spec"]["securityContext"]["runAsUser"]) for pod in pods} == {number}


def test_nobody_outside_reaches_the_server_unasked_or_the_cluster_at_all():
    """The published port is this machine's own; what takes jobs stands on a network with no way out or in."""
    services = COMPOSE["services"]
    assert services["server"]["ports"] == ["127.0.0.1:8501:8501"]
    pods = of_kind("Deployment")["spec"]["template"]["spec"]["containers"][0]["env"]
    names = [each["value"] for each in pods if each["name"] == ALLOWED]
    for each in (*names, services["server"]["environment"][ALLOWED]):
        assert each.endswith(" 127.0.0.1"), "the check of its health names the server so"
    inner = [name for name, each in COMPOSE["networks"].items() if each.get("internal")]
    nodes = {name: each for name, each in services.items() if each.get("profiles") == ["cluster"]}
    assert nodes.keys() == {"head", "worker"} and nodes["worker"]["deploy"]["replicas"] == 2
    for each in nodes.values():
        assert each["networks"] == inner and "ports" not in each
        assert "--disable-usage-stats" in each["command"]
    assert all("home:/data" in each["volumes"] and each["read_only"] for each in services.values())

    ray, policy = of_kind("RayCluster")["spec"], of_kind("NetworkPolicy")["spec"]
    chosen = policy["podSelector"]["matchLabels"]
    for group in (ray["headGroupSpec"], *ray["workerGroupSpecs"]):
        assert group["template"]["metadata"]["labels"] == chosen
        assert group["rayStartParams"]["disable-usage-stats"] == "true"
    assert ray["headGroupSpec"]["serviceType"] == "ClusterIP" and policy["policyTypes"] == ["Ingress"]


def test_all_nodes_have_one_version_and_one_home():
    pinned = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.M)
    assert pinned is None or of_kind("RayCluster")["spec"]["rayVersion"] == pinned[1]
    claims = re.findall(r"claimName: (.+)", (ROOT / "deploy" / "kubernetes.yaml").read_text())
    assert set(claims) == {of_kind("PersistentVolumeClaim")["metadata"]["name"]} and len(claims) == 2
    assert of_kind("PersistentVolumeClaim")["spec"]["accessModes"] == ["ReadWriteMany"]
    ray_up = yaml.safe_load((ROOT / "deploy" / "ray-up.yaml").read_text())
    assert any(option.endswith(":/data") for option in ray_up["docker"]["run_options"])


def test_every_setting_is_described():
    """Each environment variable of the product, and each that a file of deploy sets, stands in docs/deploy.md."""
    sources = [*FILES, *(ROOT / "core").rglob("*.py"), *(ROOT / "pages").rglob("*.py")]
    named = {name for file in sources for name in re.findall(r"\bBARDLAB_[A-Z_]+\b", file.read_text("utf-8"))}
    described = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    assert len(named) > 8 and not {name for name in named if name not in described}
