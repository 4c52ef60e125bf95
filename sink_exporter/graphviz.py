"""DOT to a picture, by the programs of Graphviz. Shell: runs `dot` or `sfdp`.

`dot` draws layers, which people read best, but its time grows fast: a clustered graph of 5,000 arrows took it 10 s, a
loose one of 1,500 more than a minute. `sfdp` took 0.2 s (`../shared/research/ux.md`, 2.2).
"""

from __future__ import annotations

import shutil
import subprocess

from callgraph.errors import ConfigurationError, WhocallsError

PICTURES = ("svg", "png")
_MOST_ARROWS_IN_LAYERS = 150
_LONGEST_SECONDS = 120.0


def draw_picture(dot: str, form: str, *, arrows: int) -> bytes:
    """Draw a graph in the DOT language as `svg` or `png`. Raises ConfigurationError without Graphviz, WhocallsError."""
    engine = "dot" if arrows <= _MOST_ARROWS_IN_LAYERS else "sfdp"
    program = shutil.which(engine)
    if program is None:
        raise ConfigurationError(
            f"drawing {form} needs Graphviz: there is no program {engine!r} in PATH (install the package graphviz, or "
            "export dot and draw it elsewhere)"
        )
    # Boxes of sfdp lie upon each other unless it is told otherwise.
    command = [program, f"-T{form}", *(("-Goverlap=prism",) if engine == "sfdp" else ())]
    try:
        drawn = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=_LONGEST_SECONDS, check=False)  # noqa: S603  (no shell)
    except subprocess.TimeoutExpired as error:
        raise WhocallsError(
            f"{engine} did not draw {arrows} calls within {_LONGEST_SECONDS:g} s (draw fewer: -n NAMESPACE, --group-by)"
        ) from error
    if drawn.returncode:
        first = next(iter(drawn.stderr.decode(errors="replace").splitlines()), "it gave no reason")
        raise WhocallsError(f"{engine} could not draw the graph: {first}")
    return drawn.stdout
