"""What is in deploy/ is accepted by those who would run it, and agrees with what it runs."""

import http.server
import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer.main
import yaml
from fastapi import FastAPI

from service.cli import app
from service.settings import Settings
from service.web.routes import router

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
CONTAINERFILE = DEPLOY / "Containerfile"
COMPOSED = sorted(DEPLOY.glob("compose*.yaml"))
KUBERNETES = sorted(DEPLOY.glob("kubernetes/*"))
MANIFESTS = [path for folder in KUBERNETES for path in sorted(folder.glob("*.yaml")) if path.stem != "kustomization"]
KUBERNETES_VERSION = "1.37"
LINT = "{extends: default, rules: {line-length: {max: 120}, document-start: disable}}"


def named(path: Path) -> str:
    """The name of a case."""
    return path.relative_to(DEPLOY).as_posix()


def instructions(name: str) -> list[str]:
    """What stands behind an instruction of the Containerfile, each time it is there, lines joined."""
    text = re.sub(r"\s*\\\n\s*", " ", CONTAINERFILE.read_text(encoding="utf-8"))
    return re.findall(rf"^(?:HEALTHCHECK .*)?{name} (.*)$", text, re.M)


def image_environment() -> dict[str, str]:
    """The settings that the image brings."""
    return dict(re.findall(r"(DRAGOMAN_\w+)=(\S+)", " ".join(instructions("ENV"))))


def parsed(path: Path) -> Any:
    """What a YAML file holds."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def workloads() -> Iterator[tuple[Path, dict[str, Any], dict[str, str]]]:
    """Each manifest that runs the image, its pod, and what its settings.env sets."""
    for path in MANIFESTS:
        manifest = parsed(path)
        if manifest["kind"] in ("Deployment", "StatefulSet"):
            lines = (path.parent / "settings.env").read_text(encoding="utf-8").splitlines()
            yield path, manifest["spec"]["template"]["spec"], dict(line.split("=", 1) for line in lines if "=" in line)


def servers(path: Path) -> dict[str, dict[str, Any]]:
    """The services of a compose file that run the image."""
    return {name: each for name, each in parsed(path)["services"].items() if each["image"] == "dragoman"}


def run(*command: str | Path) -> str:
    """What a command of this environment prints; it must succeed."""
    ran = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_yaml_is_clean() -> None:
    """Every YAML file is read, and laid out, as yamllint asks for."""
    run(sys.executable, "-m", "yamllint", "--strict", "-d", LINT, DEPLOY)


def test_the_containerfile_is_clean() -> None:
    """Hadolint, which looks at the shell in it too, has nothing to say."""
    run(Path(sys.executable).with_name("hadolint"), CONTAINERFILE)


@pytest.mark.parametrize("path", COMPOSED, ids=named)
def test_compose_files_follow_the_specification(path: Path) -> None:
    """The Compose Specification's own schema allows them."""
    run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", path)


@pytest.mark.parametrize("path", MANIFESTS, ids=named)
def test_manifests_follow_kubernetes_schemas(path: Path) -> None:
    """Kubernetes' schemas allow them, and know every field."""
    kubernetes_validate.validate(parsed(path), KUBERNETES_VERSION, strict=True)


@pytest.mark.parametrize("folder", KUBERNETES, ids=named)
def test_kustomizations_name_all_that_lies_beside_them(folder: Path) -> None:
    """No manifest is forgotten, none is missing."""
    told = parsed(folder / "kustomization.yaml")
    assert set(told["resources"]) == {path.name for path in MANIFESTS if path.parent == folder}
    assert (folder / told["configMapGenerator"][0]["envs"][0]).exists()


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
@pytest.mark.parametrize("folder", KUBERNETES, ids=named)
def test_kustomizations_are_rendered(folder: Path) -> None:
    """What kubectl makes of a folder is allowed too, and the settings have the name by which they are asked for."""
    rendered = {each["kind"]: each for each in yaml.safe_load_all(run("kubectl", "kustomize", folder))}
    for manifest in rendered.values():
        kubernetes_validate.validate(manifest, KUBERNETES_VERSION, strict=True)
        assert manifest["metadata"]["namespace"] == "dragoman"
    workload = rendered.get("Deployment") or rendered["StatefulSet"]
    container = workload["spec"]["template"]["spec"]["containers"][0]
    assert container["envFrom"][0]["configMapRef"]["name"] == rendered["ConfigMap"]["metadata"]["name"]
    assert container["image"].startswith("registry.example.org/dragoman:")


def test_every_setting_that_is_named_exists() -> None:
    """Whatever begins with DRAGOMAN_ in deploy/ is a setting, and what it is set to has sense."""
    known = {f"DRAGOMAN_{name.upper()}" for name in Settings.__dataclass_fields__}
    found = {}
    for path in filter(Path.is_file, [*DEPLOY.rglob("*"), ROOT / "docs" / "deployment.md"]):
        found[path] = set(re.findall(r"DRAGOMAN_[A-Z_]+", path.read_text(encoding="utf-8"))) - known
    assert {path.name: names for path, names in found.items() if names} == {}
    for _, _, settings in workloads():
        Settings.from_environment(image_environment() | settings)
    for path in COMPOSED:
        for each in servers(path).values():
            Settings.from_environment(image_environment() | each["environment"])


def test_ports_agree() -> None:
    """The image listens on the port that is the setting's default and the Makefile's, and all others look there."""
    port = Settings.from_environment({}).port
    assert int(image_environment()["DRAGOMAN_PORT"]) == port
    assert [int(each) for each in instructions("EXPOSE")] == [port]
    assert f"PORT ?= {port}\n" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert servers(DEPLOY / "compose.yaml")["api"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    for _, pod, _ in workloads():
        assert pod["containers"][0]["ports"] == [{"name": "http", "containerPort": port}]
    for folder in KUBERNETES:
        assert parsed(folder / "service.yaml")["spec"]["ports"][0]["targetPort"] == "http"


def test_what_is_asked_for_health_is_served() -> None:
    """Each path that a probe or the proxy asks for is a route, and who is not ready is asked for no search."""
    application = FastAPI()
    application.include_router(router)
    routes = set(application.openapi()["paths"])
    for _, pod, _ in workloads():
        probes = {
            name: pod["containers"][0][name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")
        }
        assert {name: probe["path"] for name, probe in probes.items()} == {
            "startupProbe": "/livez",
            "livenessProbe": "/livez",
            "readinessProbe": "/readyz",
        }
        assert {probe["port"] for probe in probes.values()} == {"http"}
    asked = re.findall(r"health_uri (\S+)", (DEPLOY / "Caddyfile").read_text(encoding="utf-8"))
    assert asked == ["/readyz"]
    assert {"/livez", "/readyz"} <= routes


def test_stopping_has_the_time_it_needs() -> None:
    """Nobody is killed while it drains and finishes."""
    for path in COMPOSED:
        for each in servers(path).values():
            settings = Settings.from_environment(each["environment"])
            assert settings.drain_seconds + settings.stop_seconds < int(each["stop_grace_period"].removesuffix("s"))
    for _, pod, environment in workloads():
        settings = Settings.from_environment(environment)
        assert settings.drain_seconds + settings.stop_seconds < pod["terminationGracePeriodSeconds"]
        probe = pod["containers"][0]["readinessProbe"]
        assert settings.drain_seconds > probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]


def test_nobody_runs_as_root_or_writes_beside_the_data() -> None:
    """The image has a user of its own, and everything else says so too."""
    assert instructions("USER") == ["10001:10001"]
    assert "useradd --uid 10001" in CONTAINERFILE.read_text(encoding="utf-8")
    for _, pod, _ in workloads():
        assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["fsGroup"]) == (10001, 10001)
        assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert {each["read_only"] for path in COMPOSED for each in servers(path).values()} == {True}


def test_the_library_is_in_a_volume() -> None:
    """Where the image says that the data are, something that lasts is mounted."""
    place = image_environment()["DRAGOMAN_DATA"]
    assert instructions("VOLUME") == [place]
    for path in COMPOSED:
        assert all(f"data:{place}" in each["volumes"] for each in servers(path).values())
    for path, pod, _ in workloads():
        mounted = {each["mountPath"]: each["name"] for each in pod["containers"][0]["volumeMounts"]}
        claimed = {each["metadata"]["name"] for each in parsed(path)["spec"].get("volumeClaimTemplates", ())}
        assert mounted[place] in claimed | {each["name"] for each in pod["volumes"]}
        assert mounted[f"{place}/keys.json"] == "keys"


def test_what_the_image_is_built_of_is_there() -> None:
    """The version of torch is the one that is tested, the extras exist, and what is copied is not ignored."""
    arguments = dict(each.split("=", 1) for each in instructions("ARG"))
    assert f"torch=={arguments['TORCH']}" in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(arguments["EXTRAS"].split(",")) <= set(project["optional-dependencies"])
    copied = {name for each in instructions("COPY") if "--from" not in each for name in each.split()[:-1]}
    assert {name for name in copied if not (ROOT / name).exists()} == set()
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert ignored[1] == "*"


def test_the_commands_exist() -> None:
    """What the image runs, and what comments and the page have people run in it, are commands with these options."""
    assert json.loads(instructions("ENTRYPOINT")[0]) == ["dragoman"]
    (served,) = [json.loads(each) for each in instructions("CMD") if "serve" in each]
    shown = [shlex.join(served)]
    for path in [*COMPOSED, ROOT / "docs" / "deployment.md"]:
        text = path.read_text(encoding="utf-8")
        shown += re.findall(
            r"(?:run --rm \S+|^\s*dragoman|exec \S+ dragoman|docker run .* dragoman) ([a-z].*)$", text, re.M
        )
    assert len(shown) > len(COMPOSED)
    for line in shown:
        command: Any = typer.main.get_command(app)
        words = shlex.split(line)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        options = {option for each in command.params for option in each.opts}
        assert {word for word in words if word.startswith("--")} <= options, line


def test_the_proxy_shares_among_all_servers() -> None:
    """The Caddyfile names each server of the compose file, on the image's port, and publishes that port itself."""
    port = image_environment()["DRAGOMAN_PORT"]
    path = DEPLOY / "compose.milvus.yaml"
    upstreams = re.findall(r"\{\$UPSTREAMS:(.*?)\}", (DEPLOY / "Caddyfile").read_text(encoding="utf-8"))
    assert upstreams[0].split() == [f"{name}:{port}" for name in servers(path)]
    assert all("ports" not in each for each in servers(path).values())
    assert parsed(path)["services"]["proxy"]["ports"] == [f"127.0.0.1:{port}:{port}"]


@contextmanager
def answering(status: int) -> Iterator[int]:
    """The port of a server that answers /readyz so."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_image_knows_its_health(status: int, healthy: bool) -> None:
    """The HEALTHCHECK succeeds where /readyz says 200, and fails where it says 503 or nobody answers."""
    (checked,) = [json.loads(each) for each in instructions("CMD") if "serve" not in each]
    environment: Mapping[str, str]
    with answering(status) as port:
        environment = {"DRAGOMAN_PORT": str(port)}
        command = [sys.executable, *checked[1:]]
        assert checked[0] == "python"
        ran = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=30)
    assert (ran.returncode == 0) is healthy
    assert subprocess.run(command, env=environment, capture_output=True, check=False, timeout=30).returncode != 0
