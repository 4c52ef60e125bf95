"""Settings from defaults, file, environment and flags; and what is said when one is wrong."""

from __future__ import annotations

import msgspec
import pytest

from callgraph.configuration import list_settings, load_settings
from callgraph.errors import ConfigurationError
from whocalls.configuration import Settings

SETTINGS = list(list_settings(Settings))


@pytest.fixture
def write(tmp_path):
    def write(text):
        file = tmp_path / "whocalls.yaml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def test_without_sources_the_defaults_hold():
    assert load_settings(Settings) == Settings()


def test_empty_file_changes_nothing(write):
    assert load_settings(Settings, file=write("")) == Settings()


def test_file_goes_over_the_default(write):
    assert load_settings(Settings, file=write("topics: {partitions: 24}")).topics.partitions == 24


def test_environment_goes_over_the_file(write):
    file = write("topics: {partitions: 24, prefix: file.}")
    loaded = load_settings(Settings, file=file, environment={"WHOCALLS_TOPICS_PARTITIONS": "30"})
    assert (loaded.topics.partitions, loaded.topics.prefix) == (30, "file.")


def test_flag_goes_over_the_environment():
    environment = {"WHOCALLS_TOPICS_PARTITIONS": "30", "WHOCALLS_CLUSTER": "from-environment"}
    loaded = load_settings(Settings, environment=environment, flags={"topics.partitions": 36})
    assert (loaded.topics.partitions, loaded.cluster) == (36, "from-environment")


def test_setting_has_one_name_in_three_spellings():
    setting = next(each for each in SETTINGS if each.key == "kafka.tls.ca_file")
    assert setting.variable == "WHOCALLS_KAFKA_TLS_CA_FILE"
    assert setting.flag == "--kafka-tls-ca-file"


@pytest.mark.parametrize("spelling", ["variable", "flag", "key"])
def test_no_two_settings_share_a_spelling(spelling):
    spellings = [getattr(setting, spelling) for setting in SETTINGS]
    assert len(spellings) == len(set(spellings))


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_every_setting_says_what_it_is(setting):
    assert setting.description.endswith(".")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_every_default_passes_its_own_check(setting):
    assert load_settings(Settings, flags={setting.key: msgspec.to_builtins(setting.default)}) == Settings()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_every_setting_can_be_set_by_environment(setting):
    value = msgspec.to_builtins(setting.default)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    assert load_settings(Settings, environment={setting.variable: text}) == Settings()


def test_list_in_the_environment_is_read_as_yaml():
    loaded = load_settings(Settings, environment={"WHOCALLS_AGENT_CAPTURE_RESOLVER_PORTS": "[53, 5353]"})
    assert loaded.agent.capture.resolver_ports == (53, 5353)


def test_list_in_the_environment_may_be_written_with_commas():
    loaded = load_settings(Settings, environment={"WHOCALLS_WATCHER_NAMESPACES": "shop, payments"})
    assert loaded.watcher.namespaces == ("shop", "payments")


def test_text_in_the_environment_is_taken_as_it_stands():
    environment = {"WHOCALLS_KAFKA_SASL_PASSWORD": "123", "WHOCALLS_CLUSTER": "[yes]"}
    loaded = load_settings(Settings, environment=environment)
    assert (loaded.kafka.sasl.password, loaded.cluster) == ("123", "[yes]")


def test_variables_of_others_are_left_alone():
    # Kubernetes gives a pod such variables for every Service of its namespace.
    environment = {"WHOCALLS_EXPORTER_PORT": "tcp://10.96.0.7:80", "PATH": "/bin"}
    assert load_settings(Settings, environment=environment) == Settings()


def test_unknown_key_in_the_file_names_the_path_and_the_file(write):
    file = write("kafka: {tls: {cafile: /ca.pem}}")
    assert _sentence(file=file) == (
        f"'kafka.tls' in {file}: Object contains unknown field `cafile` (docs/configuration.md lists every setting)"
    )


def test_unknown_group_in_the_file_names_the_file(write):
    file = write("kafak: {}")
    assert _sentence(file=file) == (
        f"{file}: Object contains unknown field `kafak` (docs/configuration.md lists every setting)"
    )


def test_wrong_type_names_the_key_and_both_types(write):
    file = write("topics: {partitions: many}")
    assert _sentence(file=file).startswith(f"'topics.partitions' in {file}: Expected `int`, got `str`")


def test_value_out_of_range_names_the_bound(write):
    assert "'topics.partitions' in" in (told := _sentence(file=write("topics: {partitions: 0}")))
    assert "Expected `int` >= 1" in told


def test_unknown_choice_names_the_variable():
    told = _sentence(environment={"WHOCALLS_LOG_LEVEL": "loud"})
    assert told.startswith("'log.level' in environment variable WHOCALLS_LOG_LEVEL: Invalid enum value 'loud'")


def test_environment_that_does_not_parse_names_the_key_in_one_line():
    told = _sentence(environment={"WHOCALLS_TOPICS_PARTITIONS": "[1,"})
    assert told.startswith("topics.partitions is '[1,', which does not parse (")


def test_wrong_flag_is_said_of_the_flags():
    assert _sentence(flags={"topics.partitions": "x"}).startswith("'topics.partitions' in the flags: Expected `int`")


def test_group_set_to_a_value_is_refused(write):
    file = write("kafka: localhost:9092")
    assert _sentence(file=file).startswith(f"'kafka' in {file}: Expected `object`, got `str`")


def test_missing_file_is_one_sentence(tmp_path):
    file = tmp_path / "none.yaml"
    assert _sentence(file=file) == f"cannot read the configuration file '{file}': No such file or directory"


def test_folder_in_place_of_the_file_is_one_sentence(tmp_path):
    assert _sentence(file=tmp_path) == f"cannot read the configuration file '{tmp_path}': Is a directory"


@pytest.mark.parametrize("text", ["kafka: [", "\tkafka: 1", "a: b: c"])
def test_file_that_is_no_yaml_is_one_line_with_the_place(write, text):
    file = write(text)
    assert (told := _sentence(file=file)).startswith(f"the configuration file '{file}' is not YAML: ")
    assert "line 1" in told


def test_file_of_odd_bytes_is_one_sentence(tmp_path):
    file = tmp_path / "whocalls.yaml"
    file.write_bytes(b"\xff\xfe\x00\x01\x02")
    assert _sentence(file=file).startswith(f"the configuration file '{file}' is not YAML: ")


def test_file_that_holds_a_list_is_refused(write):
    file = write("- kafka")
    assert _sentence(file=file) == f"the configuration file '{file}' must hold a mapping of settings, not list"


def _sentence(**sources):
    """Return what is said of the settings; it must be one line, and the exit code that of wrong usage."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(Settings, **sources)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)
