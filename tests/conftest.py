"""The fixtures of all tests: brokers, and topics of a test's own."""

from __future__ import annotations

import os
import uuid

import pytest

from callgraph.settings import TopicSettings

_CHOICE = pytest.StashKey[str]()


def pytest_report_header():
    from tests.brokers import plan_broker  # noqa: PLC0415  (only sessions that use a broker load its client)

    return f"kafka for tests that need it: {plan_broker()}"


def pytest_sessionfinish(session):
    """Where skips are forbidden (.ci/run), one skip fails the run: the machine must have what the tests need."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("WHOCALLS_TEST_SKIPS") == "forbidden" and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    if _CHOICE in config.stash:
        terminalreporter.write_line(f"kafka: {config.stash[_CHOICE]}")


@pytest.fixture(scope="session")
def kafka_choice(pytestconfig):
    """`apache`, `embedded` or HOST:PORT."""
    from tests.brokers import choose_broker  # noqa: PLC0415

    choice, why = choose_broker()
    pytestconfig.stash[_CHOICE] = f"{choice} ({why})"
    return choice


@pytest.fixture(scope="session")
def kafka(kafka_choice, tmp_path_factory):
    """The one broker of the session; tests keep apart by the prefix of `topic_settings`."""
    from tests.brokers import RemoteKafka, make_broker  # noqa: PLC0415

    if ":" in kafka_choice:
        yield RemoteKafka(kafka_choice)
        return
    broker = make_broker(kafka_choice, tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def kafka_settings(kafka):
    """How to reach the session's broker."""
    return kafka.kafka_settings


@pytest.fixture
def topic_settings(kafka, kafka_choice):
    """Topics of this test alone, created when a program asks for them."""
    settings = TopicSettings(prefix=f"test-{uuid.uuid4().hex[:10]}.", create=True, partitions=4)
    yield settings
    if ":" in kafka_choice:
        from tests.brokers import delete_topics  # noqa: PLC0415

        delete_topics(kafka.kafka_settings, settings.prefix)


@pytest.fixture
def start_kafka(kafka_choice, tmp_path_factory):
    """Start a broker of the test's own: `start_kafka(listeners=…, properties=…, users=…) -> BrokerProcess`."""
    from tests.brokers import make_broker  # noqa: PLC0415

    started = []

    def start(**shape):
        broker = make_broker(kafka_choice, tmp_path_factory.mktemp("own-kafka") / "kafka", **shape)
        started.append(broker)
        broker.start()
        return broker

    yield start
    for broker in started:
        broker.kill()


@pytest.fixture
def needs_apache(kafka_choice):
    """For what the embedded broker cannot do: expiry of dead members, long polls, security."""
    if kafka_choice != "apache":
        pytest.skip(f"needs Apache Kafka, and this session uses {kafka_choice}")
