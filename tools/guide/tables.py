# SPDX-License-Identifier: Apache-2.0
"""The program's tables: what `escapement --help=json` and `escapement COMMAND --help=json` print."""
import json
import subprocess


def load(program):
    """{version, usage, summary, options, commands, spec, exit_statuses, environment, variables}; each
    command has name, summary, usage, description, options and operands."""
    tables = printed(program, "--help=json")
    for command in tables["commands"]:
        details = printed(program, command["name"], "--help=json")
        command["description"] = details.pop("summary")
        command.update(details)
    return tables


def printed(program, *arguments):
    done = subprocess.run([program, *arguments], check=True, text=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def flags(option):
    """["-o", "--output"]."""
    return ([f"-{option['letter']}"] if option["letter"] else []) + [f"--{option['name']}"]


def override_keys(tables):
    """Keys that key=value can replace, but for those within a group, whose index the user writes."""
    return [key for key in tables["spec"] if "[]" not in key["path"] and
            (key["type"] != "section" or "list" in key["shapes"])]


def values(row):
    """The fixed values of an option, an operand or a key; of "poly:a0,a1,..." the beginning."""
    return [word.partition(":")[0] + ":" if ":" in word else word for word in row["values"]]


def is_folder(row):
    return row["suffixes"] == ["/"]
