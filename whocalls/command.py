"""`whocalls`, the one command: finds the subcommand, turns errors into one sentence and an exit code. Shell.

Subcommands are imported when they are called, so that `whocalls --help` stays under 0.3 s and the agent's image needs
none of the processor's packages. Exit codes: 0 ok, 1 error, 2 usage, 3 differences found, 5 a check failed,
6 unreachable.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import NamedTuple

import click

from callgraph.errors import ConfigurationError, UnreachableError, WhocallsError


class Subcommand(NamedTuple):
    """Where a subcommand lives, and its line in the help."""

    module: str
    help: str


SUBCOMMANDS: dict[str, Subcommand] = {
    "demo": Subcommand("whocalls.demo", "A shop's traffic through the whole pipeline, on this machine."),
    "up": Subcommand("whocalls.up", "The whole pipeline on this machine, live."),
    "map": Subcommand("whocalls.map", "Captures and Kubernetes objects to the graph, offline."),
    "list": Subcommand("whocalls.reading", "Who calls whom, from Kafka or a file."),
    "show": Subcommand("whocalls.reading", "Who calls a workload, and whom it calls."),
    "why": Subcommand("whocalls.reading", "The evidence of a call."),
    "diff": Subcommand("whocalls.reading", "What differs between two graphs."),
    "watch": Subcommand("whocalls.watch", "Every change of the graph as it happens."),
    "gate": Subcommand("whocalls.reading", "Fail on calls that are new and not allowed."),
    "export": Subcommand("whocalls.reading", "Write the graph in a format, or policy drafts."),
    "replay": Subcommand("whocalls.replay", "The graph once more, from the observations that Kafka keeps."),
    "agent": Subcommand("whocalls.roles", "Role: capture on a node."),
    "watcher": Subcommand("whocalls.roles", "Role: Kubernetes objects to the inventory."),
    "processor": Subcommand("whocalls.roles", "Role: observations to the call graph."),
    "exporter": Subcommand("whocalls.roles", "Role: the call graph to files."),
    "serve": Subcommand("whocalls.serve", "The live page: who calls whom, in a browser."),
    "topics": Subcommand("whocalls.topics", "Describe and create the topics."),
    "doctor": Subcommand("whocalls.doctor", "Check Kafka, rights, agents and the line, with a remedy for each."),
    "version": Subcommand("whocalls.version", "The version of whocalls and of what it runs on."),
}

EXTRAS = {
    "agent": "agent",
    "processor": "processor",
    "watcher": "processor",
    "exporter": "exporter",
    "list": "exporter",
    "show": "exporter",
    "why": "exporter",
    "diff": "exporter",
    "watch": "exporter",
    "gate": "exporter",
    "export": "exporter",
    "replay": "processor",
    "serve": "exporter",
    "topics": "exporter",
    "doctor": "processor",
    "demo": "all",
    "up": "all",
    "map": "all",
}


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """Return the names, in the order that a newcomer meets them."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the subcommand's module and return the command of that name in it."""
        if cmd_name not in SUBCOMMANDS:
            return None
        module = importlib.import_module(SUBCOMMANDS[cmd_name].module)
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, subcommand.help) for name, subcommand in SUBCOMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def whocalls() -> None:
    """Who is calling whom in a Kubernetes cluster, from DNS answers and existing connections.

    \b
    Examples:
      whocalls demo                                  see it work, with no cluster
      whocalls map capture.pcap --kube objects.json  from files, with no broker
      whocalls list -n shop                          from the call-graph topic
    """  # noqa: D301  (click reads the escape)


def main() -> None:
    """Run the command line and exit."""
    try:
        code = whocalls.main(standalone_mode=False)
    except UnreachableError as error:
        _end_now(_fail(str(error), error.exit_code))
    except WhocallsError as error:
        sys.exit(_fail(str(error), error.exit_code))
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(ConfigurationError.exit_code)
    except ModuleNotFoundError as error:
        sys.exit(_fail(_missing_package(error), ConfigurationError.exit_code))
    except BrokenPipeError:
        # The reader of our output has gone, as `| head` does.
        sys.stderr.close()
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


def _end_now(code: int) -> None:
    """End without waiting for the clients of Kafka: one that waits for an access token does so for 20 s."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _fail(sentence: str, code: int) -> int:
    click.echo(f"whocalls: {sentence}", err=True)
    return code


def _missing_package(error: ModuleNotFoundError) -> str:
    name = (error.name or "").partition(".")[0]
    if name in ("callgraph", "capture_agent", "stream_processor", "sink_exporter", "whocalls"):
        raise error
    role = next((argument for argument in sys.argv[1:] if argument in EXTRAS), "demo")
    return f"this role needs the package {name!r} (install it with `pip install 'whocalls[{EXTRAS[role]}]'`)"
