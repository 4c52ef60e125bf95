"""A real Apache Kafka broker for the tests: jars from Maven Central, KRaft, one process on loopback. Shell.

In: `tests/kafka/pom.xml`, a Java of at least 17. Out: `ApacheKafka`, which starts, stops, kills and restarts.
Source: kafka.apache.org/documentation, "KRaft" and "Broker Configs".
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from callgraph.settings import KafkaSettings
from whocalls.child_process import ends_with_parent

POM = Path(__file__).parent / "kafka" / "pom.xml"
OLDEST_JAVA = 17
HOST = "127.0.0.1"
# Below the ports that the kernel hands to outgoing connections, so that a killed broker finds its own free again.
_PORTS = range(20_000, 32_000)
_START_SECONDS = 90.0
_MAVEN_SECONDS = 900.0
# Any fixed value will do, in the base64 that Kafka expects of a cluster id.
_CLUSTER_ID = "d2hvY2FsbHMtdGVzdHMAAA"


class NoApacheKafkaError(Exception):
    """The broker cannot be had here; the text says why."""


def kafka_version() -> str:
    """Read the version from the pom, its one owner."""
    found = re.search(r"<kafka\.version>(.+?)</kafka\.version>", POM.read_text(encoding="utf-8"))
    assert found, f"{POM} names no kafka.version"
    return found.group(1)


def find_java() -> str:
    """Return the path of a Java that runs the broker. Raises NoApacheKafkaError."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        raise NoApacheKafkaError("no java was found")
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    major = re.search(r'version "(\d+)', told)
    if not major or int(major.group(1)) < OLDEST_JAVA:
        raise NoApacheKafkaError(f"{java} is no Java {OLDEST_JAVA} or later: {told.splitlines()[:1]}")
    return java


def jars_folder() -> Path:
    """Name the cache folder of the jars; another pom means another folder."""
    return cache_folder() / f"kafka-{kafka_version()}-{hashlib.sha256(POM.read_bytes()).hexdigest()[:8]}"


def cache_folder() -> Path:
    """Name the folder of what is fetched or built once for tests."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whocalls"


def fetch_jars() -> Path:
    """Return the folder of the jars, filled by Maven the first time. Raises NoApacheKafkaError."""
    folder = jars_folder()
    if folder.is_dir():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise NoApacheKafkaError(f"no mvn was found to fetch the jars into {folder}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetching-") as scratch:
        _copy_dependencies(maven, Path(scratch) / "jars")
        try:
            # All or nothing: a killed run leaves no half-filled folder under the final name.
            (Path(scratch) / "jars").rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    return folder


def _copy_dependencies(maven: str, folder: Path) -> None:
    command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
    try:
        run = subprocess.run(
            [*command, "-DincludeScope=runtime", f"-DoutputDirectory={folder}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_MAVEN_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise NoApacheKafkaError(f"mvn did not fetch the jars within {_MAVEN_SECONDS:g} s") from error
    if run.returncode or not folder.is_dir():
        complaint = next((line for line in run.stdout.splitlines() if "ERROR" in line), "no reason given")
        raise NoApacheKafkaError(f"mvn could not fetch the jars: {complaint}")


def free_ports(count: int) -> list[int]:
    """Return ports on loopback that nothing listens on now."""
    sockets: list[socket.socket] = []
    try:
        for port in random.sample(_PORTS, len(_PORTS)):
            probe = socket.socket()
            try:
                probe.bind((HOST, port))
            except OSError:
                probe.close()
                continue
            sockets.append(probe)
            if len(sockets) == count:
                return [found.getsockname()[1] for found in sockets]
        raise AssertionError("no free ports")
    finally:
        for probe in sockets:
            probe.close()


class ApacheKafka:
    """One broker that is its own controller.

    `listeners` are security protocols beside PLAINTEXT, each on a port of its own, or NAME:PROTOCOL; `properties` go
    over the defaults (key stores, authorizer); `users` are SCRAM users with their passwords, made when the storage is
    formatted.
    """

    def __init__(
        self,
        folder: Path,
        *,
        listeners: Iterable[str] = (),
        properties: Mapping[str, str] | None = None,
        users: Mapping[str, str] | None = None,
        java_options: Iterable[str] = (),
    ) -> None:
        self.about = f"Apache Kafka {kafka_version()}"
        self._folder = folder
        self._java = find_java()
        self._jars = fetch_jars()
        self._java_options = list(java_options)
        self._protocols = dict(_name_and_protocol(listener) for listener in ("PLAINTEXT", *listeners))
        *ports, self._controller_port = free_ports(len(self._protocols) + 1)
        self.ports = dict(zip(self._protocols, ports, strict=True))
        self._properties = self._default_properties() | dict(properties or {})
        self._users = dict(users or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def kafka_settings(self) -> KafkaSettings:
        """Say how clients reach the broker without security."""
        return KafkaSettings(bootstrap_servers=self.address("PLAINTEXT"))

    def address(self, listener: str) -> str:
        """Return HOST:PORT of a listener."""
        return f"{HOST}:{self.ports[listener]}"

    def start(self) -> None:
        """Start the broker, formatting its storage the first time, and wait until it serves."""
        if not (self._folder / "server.properties").exists():
            self._format()
        with (self._folder / "kafka.out").open("ab") as output:
            self._process = subprocess.Popen(
                ends_with_parent(self._command("kafka.Kafka", "server.properties")),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            self._await_brokers()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop the broker as an administrator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the broker as a power failure would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(how)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _default_properties(self) -> dict[str, str]:
        controller = f"{HOST}:{self._controller_port}"
        listeners = ",".join(f"{name}://{self.address(name)}" for name in self.ports)
        protocols = ",".join(f"{name}:{protocol}" for name, protocol in self._protocols.items())
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": controller,
            "listeners": f"{listeners},CONTROLLER://{controller}",
            "advertised.listeners": listeners,
            "listener.security.protocol.map": f"{protocols},CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self._folder / "data"),
            "auto.create.topics.enable": "false",
            "default.replication.factor": "1",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # Tests wait for these, so they are short. A killed broker registers anew after its old session ended.
            "broker.session.timeout.ms": "1500",
            "broker.heartbeat.interval.ms": "300",
            "controller.quorum.election.timeout.ms": "300",
            "controller.quorum.fetch.timeout.ms": "600",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            "log.cleaner.backoff.ms": "500",
            "log.retention.check.interval.ms": "1000",
        }

    def _format(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "log4j2.properties").write_text(_LOG4J2, encoding="utf-8")
        draft = self._folder / "server.properties.draft"
        draft.write_text("".join(f"{key}={value}\n" for key, value in self._properties.items()), encoding="utf-8")
        users = [
            word
            for name, password in self._users.items()
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for word in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
        ]
        tool = self._command("kafka.tools.StorageTool", "format", "--standalone", "-t", _CLUSTER_ID, "-c", draft.name)
        run = subprocess.run([*tool, *users], cwd=self._folder, capture_output=True, text=True, check=False)
        if run.returncode:
            raise AssertionError(f"cannot format the storage of the broker: {run.stdout}{run.stderr}")
        draft.rename(self._folder / "server.properties")

    def _command(self, *arguments: str) -> list[str]:
        # The first compiler alone and the simplest collector: a test's broker lives for minutes.
        options = ["-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *self._java_options]
        log = f"-Dlog4j2.configurationFile={self._folder / 'log4j2.properties'}"
        return [self._java, *options, log, "-cp", f"{self._jars}/*", *arguments]

    def _await_brokers(self) -> None:
        """Wait until the broker has registered with its controller: it answers metadata before that."""
        from confluent_kafka import KafkaException  # noqa: PLC0415  (only sessions that use a broker pay for it)
        from confluent_kafka.admin import AdminClient  # noqa: PLC0415

        assert self._process
        admin = AdminClient(
            {
                "bootstrap.servers": self.address("PLAINTEXT"),
                "log_level": 0,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 50,
            }
        )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if admin.list_topics(timeout=0.5).brokers:
                    return
            except KafkaException:
                continue
        raise AssertionError(f"Apache Kafka did not start; its log ends with: {self._log_tail()}")

    def _log_tail(self) -> str:
        told = [(self._folder / name) for name in ("kafka.out", "kafka.log")]
        return "".join(path.read_text(encoding="utf-8", errors="replace")[-2_000:] for path in told if path.exists())


def _name_and_protocol(listener: str) -> tuple[str, str]:
    name, _, protocol = listener.partition(":")
    return name, protocol or name


_LOG4J2 = """\
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
appender.file.type = File
appender.file.name = file
appender.file.fileName = kafka.log
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %c: %m%n
"""
