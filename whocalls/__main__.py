"""`python -m whocalls`: the same command. Shell."""

from __future__ import annotations

from whocalls.command import main

if __name__ == "__main__":
    main()
