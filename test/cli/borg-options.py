"""Prints the options of Borg's commands: a JSON object a line, of the command's name and its options, each with all its spellings and
whether it takes a value. Run by borg-options.test.ts, with Borg's own Python."""

import argparse
import json

from borg.archiver import Archiver


def commands(parser, name=""):
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, sub in action.choices.items():
                yield from commands(sub, f"{name} {word}".strip())
    yield name, parser


for name, parser in commands(Archiver(prog="borg").build_parser()):
    options = [
        [action.option_strings, action.nargs != 0]
        for action in parser._actions
        if action.option_strings and not isinstance(action, (argparse._HelpAction, argparse._VersionAction))
    ]
    print(json.dumps({"command": name, "options": options}))
