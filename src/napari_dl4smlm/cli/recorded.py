"""Commands that remember how they were given, for reports that tell how to repeat them."""

from __future__ import annotations

import os
import shlex
import subprocess

import click


class RecordingCommand(click.Command):
    """A command that keeps its words; `given_command` returns them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words before click takes them apart."""
        ctx.meta[__name__] = list(args)
        return super().parse_args(ctx, args)


def given_command(context: click.Context) -> str:
    """Write a command as it was given, for the shell of this system."""
    words = ["dl4smlm", str(context.info_name), *context.meta[__name__]]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
