"""Dockerfile, compose file and chart run what exists: subcommands, flags, extras, build targets, versions."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib

import click
import pytest
import yaml

from callgraph.configuration import list_settings, load_settings
from tests.deployment.chart import CHART, ROOT, objects, pod_specs, read_values, value_set_names
from whocalls.configuration import Settings

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ROLES = {"agent", "processor", "exporter", "replay"}


def compose_file():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


def own_services():
    """The services that run `whocalls`: those whose image the Dockerfile builds and whose entry point stays."""
    services = compose_file()["services"]
    return {name: s for name, s in services.items() if s["image"].startswith("whocalls-") and "entrypoint" not in s}


def read_dockerfile():
    """Return stages (name to its instructions), with continued lines joined and comments gone."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n(\s*#.*\n)*", " ", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    stages, current = {}, []
    for line in filter(None, map(str.strip, lines)):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            current = stages.setdefault(rest.split(" AS ")[1], [])
        current.append((instruction, rest))
    return stages


def stage_chain(stages, name):
    """Return all instructions that make a stage, those of the stages it is built from first."""
    instructions = stages[name]
    base = instructions[0][1].split(" AS ")[0]
    return (stage_chain(stages, base) if base in stages else []) + instructions


# -- The commands -----------------------------------------------------------------------------------------------------


def commands():
    """Every command line that the chart, the compose file and the images run, with where it stands."""
    found = {}
    for name in value_set_names():
        for role, pod in pod_specs(objects(read_values(name))):
            arguments = pod["containers"][0]["args"]
            found[f"chart {role} {' '.join(arguments[1:3])}"] = arguments
    for name, service in own_services().items():
        found[f"compose {name}"] = service["command"]
    for name, instructions in read_dockerfile().items():
        for instruction, rest in instructions:
            if instruction == "CMD":
                found[f"Dockerfile {name}"] = yaml.safe_load(rest)
    return found


COMMANDS = commands()


@pytest.mark.parametrize("where", COMMANDS)
def test_every_command_line_is_one_that_whocalls_understands(where):
    from whocalls.command import whocalls  # noqa: PLC0415  (roles come one by one)

    command, arguments = whocalls, list(COMMANDS[where])
    while isinstance(command, click.Group):
        context = click.Context(command)
        command = command.get_command(context, arguments.pop(0))
        assert command is not None, COMMANDS[where]
    # Parses, and does not run: a flag that does not exist or lacks its value is an error.
    command.make_context("whocalls", arguments)


def test_images_and_chart_start_each_role_by_its_own_name():
    for where, arguments in COMMANDS.items():
        if where.startswith("chart ") or where in ("Dockerfile agent", "Dockerfile processor", "Dockerfile exporter"):
            assert arguments[0] == {"page": "serve"}.get(where.split()[1], where.split()[1])


# -- The images -------------------------------------------------------------------------------------------------------


def test_each_role_has_a_target_with_its_extra_only():
    stages = read_dockerfile()
    assert stages.keys() >= ROLES
    for role in ROLES:
        installed = re.findall(r'"whocalls\[([a-z,]+)\] @', str(stages[f"{role}-environment"]))
        assert installed == ["agent,replay" if role == "replay" else role]
        assert ("COPY", f"--from={role}-environment /opt/whocalls /opt/whocalls") in stages[role]
        assert set(installed[0].split(",")) <= PROJECT["optional-dependencies"].keys()


def test_only_the_agents_image_runs_as_root():
    stages = read_dockerfile()
    users = {role: [rest for name, rest in stage_chain(stages, role) if name == "USER"] for role in ROLES}
    assert users == {"agent": [], "processor": ["65532:65532"], "exporter": ["65532:65532"], "replay": ["65532:65532"]}


def test_nothing_is_compiled_or_installed_in_what_runs():
    stages = read_dockerfile()
    for role in ROLES:
        runs = [rest for name, rest in stage_chain(stages, role) if name == "RUN"]
        assert runs[0] == "python3 -m pip uninstall --yes --root-user-action=ignore pip"
        # The exporter pushes to repositories: git and ssh, and nothing else.
        installed = re.findall(
            r"apt-get install --yes --no-install-recommends ([a-z -]+?) &&", re.sub(r" +", " ", str(runs[1:]))
        )
        assert installed == (["git openssh-client"] if role == "exporter" else [])
        assert len(runs) == 1 + len(installed)
    for name in (f"{role}-environment" for role in ROLES):
        (run,) = [rest for instruction, rest in stages[name] if instruction == "RUN"]
        assert "--no-build" in run
        assert "--constraint requirements.lock" in run


def test_the_base_image_is_pinned_to_a_release():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.13\.\d+-slim-[a-z]+$", text, re.MULTILINE)
    used = {rest.split()[0] for stage in read_dockerfile().values() for name, rest in stage if name == "FROM"}
    assert used <= {"${PYTHON_IMAGE}", *read_dockerfile()}


def test_the_builder_gets_every_package_and_every_file_that_the_wheel_is_made_of():
    copied = shlex.split(" ".join(rest for name, rest in read_dockerfile()["builder"] if name == "COPY"))
    packages = {path.parent.name for path in ROOT.glob("*/py.typed")}
    wanted = packages | {"pyproject.toml", "requirements.lock", PROJECT["readme"], *PROJECT["license-files"]}
    assert wanted <= set(copied)
    allowed = {line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert allowed == wanted


def test_versions_are_those_of_the_project():
    version = PROJECT["version"]
    described = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (described["version"], described["appVersion"]) == (version, version)
    assert {service["image"].partition(":")[2] for service in own_services().values()} == {version}
    assert f"ARG VERSION={version}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


RUN_WITH_EXTRAS = """
import sys, tomllib
from importlib.metadata import packages_distributions, requires
from packaging.requirements import Requirement

def closure(texts, extras, seen):
    for requirement in map(Requirement, texts):
        marker = requirement.marker
        wanted = any(not marker or marker.evaluate({"extra": extra}) for extra in extras or [""])
        if wanted and requirement.name not in seen:
            seen.add(requirement.name)
            closure(requires(requirement.name) or [], requirement.extras, seen)
    return seen

pyproject, extras, *command = sys.argv[1:]
project = tomllib.loads(open(pyproject, "rb").read().decode())["project"]
texts = project["dependencies"] + [t for extra in extras.split(",") for t in project["optional-dependencies"][extra]]
normal = lambda name: name.lower().replace("_", "-")
kept = {normal(name) for name in closure(texts, [], set())} | {"whocalls"}
absent = {top for top, owners in packages_distributions().items() if not {normal(owner) for owner in owners} & kept}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for module in [name for name in sys.modules if name.partition(".")[0] in absent]:
    del sys.modules[module]
sys.meta_path.insert(0, Absent())
from whocalls.command import main
sys.argv[1:] = command
main()
"""
UNREACHABLE = 6


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    from whocalls.shop_traffic import write_shop_input  # noqa: PLC0415  (scapy)

    return write_shop_input(tmp_path_factory.mktemp("shop"))


@pytest.mark.parametrize(
    ("extras", "command", "expected"),
    [
        ("agent", "agent --source proc:{proc}", UNREACHABLE),
        ("agent,replay", "agent --source pcap:{pcap} --source proc:{proc}", UNREACHABLE),
        ("agent,replay", "demo --write-input {folder}", 0),
        ("processor", "processor --processor-listen 127.0.0.1:0", UNREACHABLE),
        ("processor", "watcher --watcher-objects-file {kube}", UNREACHABLE),
        ("exporter", "exporter --once", UNREACHABLE),
        ("exporter", "topics apply", UNREACHABLE),
    ],
)
def test_each_image_has_the_packages_that_its_commands_need(extras, command, expected, shop, tmp_path):
    """A package that is missing ends with another exit code than a Kafka that is."""
    paths = {"pcap": shop.captures["node-1"], "proc": shop.proc_trees["node-1"], "kube": shop.objects}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            RUN_WITH_EXTRAS,
            ROOT / "pyproject.toml",
            extras,
            *command.format(**paths, folder=tmp_path).split(),
        ],
        env={"WHOCALLS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "WHOCALLS_KAFKA_CONNECT_SECONDS": "0.2", "PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == expected, done.stderr


# -- The compose file -------------------------------------------------------------------------------------------------


def test_compose_builds_targets_that_exist_and_every_own_image_has_a_builder():
    services = compose_file()["services"]
    built = {service["image"]: service["build"]["target"] for service in services.values() if "build" in service}
    assert set(built.values()) <= ROLES
    assert {s["image"] for s in services.values() if s["image"].startswith("whocalls-")} == built.keys()
    assert all(image.startswith(f"whocalls-{target}:") for image, target in built.items())


def test_compose_waits_for_services_that_exist_and_on_conditions_that_can_come_true():
    services = compose_file()["services"]
    for service in services.values():
        for name, need in service.get("depends_on", {}).items():
            assert name in services
            assert ("healthcheck" in services[name]) == (need["condition"] == "service_healthy")


def test_compose_configures_what_the_programs_understand():
    variables = {setting.variable for setting in list_settings(Settings)}
    advertised = compose_file()["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    for service in own_services().values():
        environment = {name: str(value) for name, value in service["environment"].items()}
        assert environment.keys() <= variables
        settings = load_settings(Settings, environment=environment)
        listener = "LOCAL" if service.get("network_mode") == "host" else "INTERNAL"
        assert f"{listener}://{settings.kafka.bootstrap_servers}" in advertised
        assert service.get("volumes", []) != ["./out:/out"] or settings.exporter.out == "/out"


def test_compose_injects_no_file_into_a_read_only_root():
    """Compose copies inline configs and secrets into the container, and the engine refuses (docker/compose 12031)."""
    assert not compose_file().keys() & {"configs", "secrets"}


def test_compose_replays_the_demo_shops_files():
    from whocalls.shop_traffic import NODES  # noqa: PLC0415

    commands = [" ".join(service["command"]) for service in own_services().values()]
    for node in NODES:
        assert any(
            f"--agent-node={node} --source=pcap:/input/{node}.pcap --source=proc:/input/proc-{node}" in command
            for command in commands
        )
    assert any("--watcher-objects-file=/input/objects.json" in command for command in commands)


def test_compose_listens_on_this_machine_only():
    ports = [port for service in compose_file()["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_takes_every_privilege_away():
    for name, service in compose_file()["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("cap_add", []) == {"out": ["FOWNER"], "agent-live": ["NET_RAW"]}.get(name, []), name
        assert service.get("read_only", name == "kafka"), name


def test_the_broker_is_pinned_by_digest():
    assert re.fullmatch(r"apache/kafka:4\.\d+\.\d+@sha256:[0-9a-f]{64}", compose_file()["services"]["kafka"]["image"])
