# SPDX-License-Identifier: Apache-2.0
"""Completion scripts for bash, zsh and fish."""
from tables import flags, is_folder, override_keys, values


def scripts(tables):
    """{"escapement.bash": text, "_escapement": text, "escapement.fish": text}."""
    return {"escapement.bash": bash(tables), "_escapement": zsh(tables),
            "escapement.fish": fish(tables)}


def quoted(plain):
    """One word of a POSIX shell; fish reads it so too, but for backslashes."""
    return "'" + plain.replace("'", "'\\''") + "'"


# ---- bash ----

BASH = """\
# Completion of escapement for bash.

_escapement_words() {{ mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current"); }}

# Files with one of the suffixes "a|b", and the way to them.
_escapement_files() {{
  local name
  compopt -o filenames
  while IFS= read -r name; do
    if [[ -d $name || $name =~ \\.($1)$ ]]; then COMPREPLY+=("$name"); fi
  done < <(compgen -f -- "$current")
}}

_escapement_folders() {{
  compopt -o filenames
  mapfile -t COMPREPLY < <(compgen -d -- "$current")
}}

# The value of option $2 of command $1; fails where the option has none.
_escapement_value() {{
  case "$1 $2" in
{values}
    *) return 1 ;;
  esac
}}

# The value of key $1 of a spec.
_escapement_key() {{
  case "$1" in
{keys}
  esac
}}

_escapement_overrides() {{
  compopt -o nospace
  _escapement_words '{overrides}'
}}

# How many operands of command $1 are before the cursor, in $operands.
_escapement_count() {{
  local i word
  operands=0
  for ((i = 2; i < COMP_CWORD; i++)); do
    word=${{COMP_WORDS[i]}}
    case "$1 $word" in
      {valued}) ((i++)) ;;
      *' '-*) ;;
      *) ((operands++)) ;;
    esac
  done
}}

_escapement_operands() {{
  local operands
  _escapement_count "$1"
  case "$1" in
{operands}
  esac
}}

_escapement_options() {{
  case "$1" in
{options}
  esac
}}

# "name=value" as far as it is written; where "=" divides words, COMP_WORDS has it as a word.
_escapement_assigned() {{
  local name=$1 prefix=$2
  case "$name" in
    -*) _escapement_value "${{COMP_WORDS[1]}}" "$name" ;;
    *) _escapement_key "$name" ;;
  esac
  COMPREPLY=("${{COMPREPLY[@]/#/$prefix}}")
}}

_escapement() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
  local command=${{COMP_WORDS[1]}} name
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    _escapement_words '{commands} help {program}'
  elif [[ $command == help ]]; then
    _escapement_words '{commands}'
  elif [[ $current == '=' ]]; then
    current=
    _escapement_assigned "$previous" ''
  elif [[ $previous == '=' ]]; then
    _escapement_assigned "${{COMP_WORDS[COMP_CWORD - 2]}}" ''
  elif [[ $current == ?*=* ]]; then
    name=${{current%%=*}} current=${{current#*=}}
    _escapement_assigned "$name" "$name="
  elif _escapement_value "$command" "$previous"; then
    return
  elif [[ $current == -* ]]; then
    _escapement_options "$command"
  else
    _escapement_operands "$command"
  fi
}}

complete -F _escapement escapement
"""


def bash(tables):
    commands = tables["commands"]
    pairs = [(command, option) for command in commands for option in command["options"]
             if option["argument"]]
    return BASH.format(
        values="\n".join(f"    {bash_names(c, o)}) {bash_action(o)} ;;" for c, o in pairs),
        valued="|".join(bash_names(c, o) for c, o in pairs),
        keys="\n".join(f"    {quoted(key['path'])}) {bash_action(key)} ;;"
                       for key in override_keys(tables) if key["values"]),
        overrides=" ".join(key["path"] + "=" for key in override_keys(tables)),
        operands="\n".join(f"    {c['name']}) {bash_operands(c['operands'])} ;;" for c in commands),
        options="\n".join(f"    {c['name']}) _escapement_words {quoted(flag_words(c['options']))} ;;"
                          for c in commands),
        commands=" ".join(c["name"] for c in commands), program=flag_words(tables["options"]))


def flag_words(options):
    return " ".join(flag for option in options for flag in flags(option))


def bash_names(command, option):
    return "|".join(quoted(f"{command['name']} {flag}") for flag in flags(option))


def bash_action(row):
    if row["values"]:
        return f"_escapement_words {quoted(' '.join(values(row)))}"
    if not row.get("suffixes"):
        return ":"
    return "_escapement_folders" if is_folder(row) else \
        f"_escapement_files {quoted('|'.join(row['suffixes']))}"


def bash_operands(operands):
    first = bash_action(operands)
    if not operands["overrides"]:
        return first
    return f"if ((operands == 0)); then {first}; else _escapement_overrides; fi"


# ---- zsh ----

ZSH = """\
#compdef escapement
# Completion of escapement for zsh.

# key=value of a spec.
_escapement_override() {{
  if compset -P 1 '*='; then
    case ${{IPREFIX%=}} in
{keys}
      *) _message value ;;
    esac
  else
    local -a keys=(
{overrides}
    )
    _describe -t keys 'key of the spec' keys -S ''
  fi
}}

_escapement() {{
  local -a commands=(
{commands}
    'help:options of a command'
  )
  local -a options=(
{program}
  )
  if (( CURRENT == 2 )); then
    _describe -t commands command commands
    _describe -o -t options option options
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT -= 1 ))
  case $command in
    help) _describe -t commands command commands ;;
{cases}
  esac
}}

_escapement "$@"
"""


def zsh(tables):
    commands = tables["commands"]
    return ZSH.format(
        keys="\n".join(f"      {key['path']}) compadd -S '' -- {words(key)} ;;"
                       for key in override_keys(tables) if key["values"]),
        overrides="\n".join(f"      {quoted(key['path'] + '=:' + key['help'])}"
                            for key in override_keys(tables)),
        commands="\n".join(f"    {quoted(c['name'] + ':' + c['summary'])}" for c in commands),
        program="\n".join(f"    {quoted(flag + ':' + option['help'])}" for option in tables["options"]
                          for flag in flags(option)),
        cases="\n".join(zsh_case(command) for command in commands))


def words(row):
    return " ".join(quoted(value) for value in values(row))


def zsh_case(command):
    lines = [f"    {command['name']}) _arguments -s -S \\"]
    lines += [f"      {zsh_option(option)} \\" for option in command["options"]]
    lines += [f"      {operand} \\" for operand in zsh_operands(command["operands"])]
    lines[-1] = lines[-1][:-2] + " ;;"
    return "\n".join(lines)


def zsh_option(option):
    help_text = "".join("\\" + c if c in "[]:\\" else c for c in option["help"])
    argument = (option["argument"] or "").replace(":", "\\:")
    value = f":{argument}{zsh_action(option)}" if argument else ""
    names = flags(option)
    if option["argument"]:
        names = [f + ("+" if len(f) == 2 else "=") for f in names]
    if len(names) == 1:
        return quoted(f"{names[0]}[{help_text}]{value}")
    excluded = "(" + " ".join(flags(option)) + ")"
    return f"{quoted(excluded)}{{{','.join(names)}}}{quoted(f'[{help_text}]{value}')}"


def zsh_action(row):
    if row["values"]:
        return ":(" + " ".join(v.replace(":", "\\:") for v in values(row)) + ")"
    if not row["suffixes"]:
        return ": "
    return ":_files -/" if is_folder(row) else f':_files -g "*.({"|".join(row["suffixes"])})"'


def zsh_operands(operands):
    action = zsh_action(operands)
    if action == ": ":
        return []
    if operands["overrides"]:
        return [quoted(f"1:operand{action}"), quoted("*:override:_escapement_override")]
    return [quoted(f"*:operand{action}")]


# ---- fish ----

FISH = """\
# Completion of escapement for fish.

function __escapement_files
    for suffix in $argv
        __fish_complete_suffix $suffix
    end
end

complete -c escapement -f
{lines}
"""


def fish(tables):
    begin = "complete -c escapement -n __fish_use_subcommand"
    lines = [f"{begin} -a {c['name']} -d {fish_quoted(c['summary'])}" for c in tables["commands"]]
    lines.append(f"{begin} -a help -d 'options of a command'")
    lines += [f"{begin} {fish_flags(option)}" for option in tables["options"]]
    names = " ".join(c["name"] for c in tables["commands"])
    lines.append(f"complete -c escapement -n '__fish_seen_subcommand_from help' -a '{names}'")
    for command in tables["commands"]:
        lines += fish_command(tables, command)
    return FISH.format(lines="\n".join(lines))


def fish_quoted(plain):
    return "'" + plain.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish_flags(option):
    letter = f"-s {option['letter']} " if option["letter"] else ""
    return f"{letter}-l {option['name']} -d {fish_quoted(option['help'])}"


def fish_action(row):
    if row["values"]:
        return fish_quoted(" ".join(values(row)))
    if not row["suffixes"]:
        return ""
    return "'(__fish_complete_directories)'" if is_folder(row) else \
        fish_quoted(f"(__escapement_files {' '.join('.' + s for s in row['suffixes'])})")


def fish_command(tables, command):
    begin = f"complete -c escapement -n '__fish_seen_subcommand_from {command['name']}'"
    lines = []
    for option in command["options"]:
        action = fish_action(option)
        value = (" -x" + (f" -a {action}" if action else "")) if option["argument"] else ""
        lines.append(f"{begin} {fish_flags(option)}{value}")
    if fish_action(command["operands"]):
        lines.append(f"{begin} -a {fish_action(command['operands'])}")
    if command["operands"]["overrides"]:
        for key in override_keys(tables):
            assigned = " ".join(f"{key['path']}={value}" for value in ["", *values(key)])
            lines.append(f"{begin} -a {fish_quoted(assigned)} -d {fish_quoted(key['help'])}")
    return lines
