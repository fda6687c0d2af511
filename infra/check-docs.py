#!/usr/bin/env python3
"""Checks that the documents agree with the repository. Needs only Python's standard library and git.

  infra/check-docs.py                          links, sizes, paths, named tests, settings, metrics, syntax of shell blocks
  infra/check-docs.py --programs target/debug  the commands in the documents: `--help` knows each subcommand and flag,
                                               and every block that is marked `sh runnable` or `python runnable` runs

The blocks of one document run in order, in one scratch folder in which the repository's top-level entries are linked.
"""

import argparse
import functools
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_LINES = {"README.md": 100, "ARCHITECTURE.md": 180}
SERVICES = ("crownest-ingest", "crownest-executor", "crownest-collector", "crownest-metering")
PROGRAMS = ("crownest", *SERVICES, "crownest-bench")
# Flags of programs that are not ours, where a document names the flag alone.
FOREIGN_FLAGS = {"--network", "--platform", "--no-capture"}
problems = []


def problem(document, line, text):
    problems.append(f"{document}:{line}: {text}")


def git(*arguments):
    return subprocess.run(["git", "-C", ROOT, *arguments], check=True, capture_output=True, text=True).stdout


@functools.cache
def files():
    """Every file that is tracked, or would be with `git add`."""
    names = set(git("ls-files", "-co", "--exclude-standard", "-z").split("\0")) - {""}
    return {name for name in names if (ROOT / name).exists()}


@functools.cache
def folders():
    return {str(parent) for name in files() for parent in Path(name).parents}


@functools.cache
def source_files():
    kinds = (".rs", ".sql", ".sh", ".py", ".toml")
    return {name: (ROOT / name).read_text(errors="replace") for name in sorted(files()) if name.endswith(kinds)}


@functools.cache
def sources():
    """The text of everything that is not a document: settings and metrics that are named must occur there."""
    return "\n".join(source_files().values())


def exists(path):
    """Whether a path from the root, or the end of one, is a file or folder."""
    return path in files() or path in folders() or any(name.endswith(f"/{path}") for name in files())


class Document:
    """A Markdown file, split into prose (with line numbers) and fenced blocks."""

    def __init__(self, name):
        self.name, self.prose, self.blocks = name, [], []
        self.lines = (ROOT / name).read_text().splitlines()
        block = None
        for number, line in enumerate(self.lines, 1):
            fence = re.match(r"\s*```(.*)", line)
            if re.match(r"(<<<<<<<|>>>>>>>) ", line):
                problem(name, number, "a merge left this mark")
            if block is None and fence:
                block = (number, fence[1].split(), [])
            elif block is not None and fence:
                self.blocks.append((block[0], block[1], "\n".join(block[2]) + "\n"))
                block = None
            elif block is not None:
                block[2].append(line)
            else:
                self.prose.append((number, line))
        if block is not None:
            problem(name, block[0], "this code block does not end")

    def anchors(self):
        found = set()
        for _, line in self.prose:
            heading = re.match(r"#+ (.*)", line)
            if heading:
                text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1].strip().lower())
                anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
                repeated = sum(1 for other in found if re.fullmatch(re.escape(anchor) + r"(-\d+)?", other))
                found.add(f"{anchor}-{repeated}" if anchor in found else anchor)
        return found

    def spans(self):
        for number, line in self.prose:
            for span in re.findall(r"`([^`]+)`", line):
                yield number, span


@functools.cache
def document(name):
    return Document(name)


def check_links(doc):
    for number, line in doc.prose:
        plain = re.sub(r"`[^`]*`", "code", line)
        targets = re.findall(r"\]\(([^)\s]+)\)", plain) + re.findall(r"^\[[^\]]+\]: (\S+)", plain)
        for target in targets:
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            name = os.path.normpath(os.path.join(os.path.dirname(doc.name), path)) if path else doc.name
            if name not in files() and name not in folders():
                problem(doc.name, number, f"the link {target} leads to {name}, which does not exist")
            elif anchor and anchor not in document(name).anchors():
                problem(doc.name, number, f"the link {target}: {name} has no heading #{anchor}")


def check_size(doc):
    most = MOST_LINES.get(doc.name)
    if most and len(doc.lines) > most:
        problem(doc.name, most, f"{len(doc.lines)} lines, expected at most {most}: move something to docs/")


def check_paths(doc):
    """A path in backticks exists: one from the root, or the end of one, such as `seal/bundle.rs`."""
    tops = {name.split("/")[0] for name in files() if "/" in name}
    for number, span in doc.spans():
        path = span.rstrip("/")
        if not re.fullmatch(r"[\w.\-]+(/[\w.\-]+)*", path) or path.startswith("-"):
            continue
        rooted = "/" in path and path.split("/")[0] in tops
        relative = os.path.normpath(os.path.join(os.path.dirname(doc.name), path))
        if (rooted or re.search(r"\.(rs|sh|sql|py|toml|md)$", path)) and not (exists(path) or relative in files()):
            problem(doc.name, number, f"there is no file or folder `{span}`")


def check_tests(doc):
    """`file::function` in ARCHITECTURE.md names a test."""
    for number, span in doc.spans():
        named = re.fullmatch(r"([a-z0-9_]+)::([a-z0-9_]+)", span)
        if not named:
            continue
        pattern = re.compile(rf"#\[(tokio::)?test[^\n]*\n(\s*#\[[^\n]*\n)*\s*(pub )?(async )?fn {named[2]}\(")
        candidates = [name for name in files() if re.search(rf"(^|/){named[1]}(/main)?\.rs$", name)]
        if not any(pattern.search((ROOT / name).read_text()) for name in candidates):
            problem(doc.name, number, f"there is no test `{named[2]}` in a file {named[1]}.rs")


def check_names(doc):
    """Settings and metrics that a document names occur in the sources."""
    for number, line in enumerate(doc.lines, 1):
        for name in re.findall(r"\bCROWNEST_[A-Z0-9_]*[A-Z0-9]\b", line):
            if not re.search(rf"\b{name}\b", sources()):
                problem(doc.name, number, f"no source has the variable {name}")
        for name in re.findall(r"\bcrownest_(?:ingest|executor|collector|metering|queue|store)_[a-z_]*[a-z]\b", line):
            short = re.sub(r"^crownest_((ingest|executor|collector|metering)_)?", "", name)
            if name not in sources() and f'"{short}"' not in sources():
                problem(doc.name, number, f"no source has the metric {name}")


def check_sources():
    """A document that a source names exists."""
    for source, text in source_files().items():
        for number, line in enumerate(text.splitlines(), 1):
            for path in re.findall(r"[\w./-]*\w\.md\b", line):
                if not exists(re.sub(r"^(\.\./)+", "", path)):
                    problem(source, number, f"there is no document {path}")


def check_syntax(doc):
    for number, info, text in doc.blocks:
        if info[:1] == ["sh"]:
            checked = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
            if checked.returncode:
                problem(doc.name, number, f"this block is not valid shell: {checked.stderr.strip()}")


class Help:
    """What `--help` of the built programs knows."""

    def __init__(self, programs):
        self.programs = programs

    @functools.cache
    def of(self, program, *path):
        """Subcommands by every name that they have, and flags."""
        command = [self.programs / program, *path, "--help"]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        flags = set(re.findall(r"^ +(?:-\w, )?(--[a-z][a-z0-9-]*)", text, re.M))
        section = re.search(r"^Commands:\n(.*?)(?=^\S|\Z)", text, re.M | re.S)
        commands = {}
        for line in section[1].splitlines() if section else ():
            named = re.match(r"  ([a-z][a-z0-9-]*)\b", line)
            if named:
                commands[named[1]] = last = named[1]
            for alias in re.findall(r"\[aliases?: ([^\]]+)\]", line):
                commands.update({one: last for one in alias.split(", ")})
        commands.pop("help", None)
        # The services' few commands are in the last line of their help.
        commands.update({name: name for name in re.findall(rf"`{program} ([a-z]+)`", text) if program in SERVICES})
        return commands, flags

    @functools.cache
    def every_flag(self):
        found, left = set(), [(program,) for program in PROGRAMS]
        while left:
            at = left.pop()
            commands, flags = self.of(*at)
            found |= flags
            left += [(*at, name) for name in set(commands.values())]
        return found

    def objection(self, program, words):
        """What is wrong with a command line, if anything."""
        path, after_flag = [], False
        for word in words:
            commands, flags = self.of(program, *path)
            if word == "--":
                return None
            if re.match(r"--[a-z]", word):
                if (flag := word.split("=")[0]) not in flags:
                    return f"`{' '.join([program, *path])} --help` has no {flag}"
                after_flag = "=" not in word
            elif word in commands:
                path, after_flag = [*path, commands[word]], False
            elif (commands or program in SERVICES) and re.fullmatch(r"[a-z][a-z-]*", word) and not after_flag:
                return f"`{' '.join([program, *path])} --help` has no command {word}"
            else:
                after_flag = False
        return None


def command_lines(text):
    """The words after each program of ours in a piece of shell, or of a language with shell in it."""
    text = re.sub(r"\s*\\?\n\s+(?=--)", " ", text.replace("\\\n", " "))
    for line in text.splitlines():
        for piece in re.split(r"(?:&&|\|\||[;|<>]|\$\(|(?:^|\s)#)", line):
            try:
                words = shlex.split(piece)
            except ValueError:
                words = piece.replace("'", " ").replace('"', " ").split()
            for at, word in enumerate(words):
                if os.path.basename(word) in PROGRAMS and "=" not in word:
                    yield os.path.basename(word), words[at + 1 :]
                    break


def check_commands(doc, helps):
    for number, info, text in doc.blocks:
        if info[:1] and info[0] in ("sh", "yaml", "groovy"):
            for program, words in command_lines(text):
                if objection := helps.objection(program, words):
                    problem(doc.name, number, f"in this block: {objection}")
    for number, span in doc.spans():
        if re.split(r"\s", span)[0] in PROGRAMS:
            for program, words in command_lines(span):
                if objection := helps.objection(program, words):
                    problem(doc.name, number, f"`{span}`: {objection}")
        elif flag := re.match(r"--[a-z][a-z0-9-]*", span):
            if flag[0] not in helps.every_flag() | FOREIGN_FLAGS:
                problem(doc.name, number, f"no program of ours has the flag {flag[0]}")


def run_blocks(doc, programs):
    runnable = [block for block in doc.blocks if "runnable" in block[1]]
    if not runnable:
        return
    with tempfile.TemporaryDirectory(prefix="crownest-docs-") as scratch:
        for top in {name.split("/")[0] for name in files()}:
            os.symlink(ROOT / top, Path(scratch, top))
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "HOME": scratch}
        for number, info, text in runnable:
            command = ["python3", "-c", text] if info[0] == "python" else ["bash", "-euo", "pipefail", "-c", text]
            try:
                ran = subprocess.run(command, cwd=scratch, env=environment, timeout=60, text=True, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            except subprocess.TimeoutExpired:
                problem(doc.name, number, "this block did not end within 60 seconds")
                continue
            if ran.returncode:
                problem(doc.name, number, f"this block failed with exit code {ran.returncode}:\n{ran.stdout.rstrip()}")
            else:
                print(f"{doc.name}:{number}: ran")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=Path, metavar="DIR", help="folder with the built programs")
    programs = parser.parse_args().programs
    documents = [document(name) for name in sorted(files()) if name.endswith(".md")]
    helps = Help(programs.resolve()) if programs else None
    for doc in documents:
        if programs:
            check_commands(doc, helps)
            run_blocks(doc, programs.resolve())
        else:
            for check in (check_links, check_size, check_paths, check_names, check_syntax):
                check(doc)
    if not programs:
        check_tests(document("ARCHITECTURE.md"))
        check_sources()
    if problems:
        sys.exit("\n".join([*problems, f"{len(problems)} problems in documents"]))
    print(f"{len(documents)} documents agree with the {'programs' if programs else 'repository'}")


main()
