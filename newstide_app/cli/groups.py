"""The list of commands in `newstide --help`: in groups, in the order in which one meets them."""

from typing import Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

GROUPS = {
    "Start here": ("demo", "up", "produce", "stories", "doctor"),
    "Look": ("headlines", "search", "web", "export", "evaluate"),
    "Run": ("consume", "recluster", "watch", "dead-letters"),
    "Maintain": (),  # and what no other group names
}


class Grouped(TyperGroup):
    """Lists the commands by group, and names the value that an argument or option cannot take."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; typer's error of a value that is of another kind does not name the value itself."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if isinstance(error.__cause__, ValidationError):
                error.message = f"{error.__cause__.errors()[0]['input']!r}: {error.message}"
            raise

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes a section a group."""
        shown = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        commands = {name: command for name, command in shown.items() if command is not None and not command.hidden}
        named = {name for names in GROUPS.values() for name in names}
        wide = max(map(len, commands), default=0)
        room = formatter.width - wide - 6
        for title, names in GROUPS.items():
            rest = sorted(set(commands) - named) if title == "Maintain" else ()
            rows = [(name, commands[name].get_short_help_str(room)) for name in (*names, *rest) if name in commands]
            if rows:
                with formatter.section(title):
                    formatter.write_dl([(name.ljust(wide), text) for name, text in rows])
