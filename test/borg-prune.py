"""What real Borg would prune: run by prune-like-borg.test.ts with the Python that `borg` runs in.

Standard input: {"folder", "now", "archives": [{"name", "time"}], "cases": [{"zone", "options"}]}, times in ms since 1970. Makes a
repository in the folder with empty archives of these names and times, then runs `borg prune --dry-run --list` for each case, all in
one process, since starting Borg takes most of its time. Standard output: for each case the lines that Borg prints.
"""
import json
import logging
import os
import sys
import time
from datetime import datetime, timezone

given = json.load(sys.stdin)
repository_path = given["folder"] + "/repository"
os.environ["BORG_BASE_DIR"] = given["folder"]
os.environ["BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK"] = "yes"
# What costs time and is of no interest here.
os.environ["BORG_SELFTEST"] = "disabled"
os.fsync = os.fdatasync = lambda fd: None

import borg.helpers.misc
from borg.archive import Archive
from borg.archiver import Archiver
from borg.cache import Cache
from borg.helpers import Manifest
from borg.repository import Repository


def utc(ms):
    return datetime.fromtimestamp(ms / 1000, timezone.utc)


class StandingClock(datetime):
    """`--keep-within` counts back from a time that does not pass."""

    @classmethod
    def now(cls, tz=None):
        return utc(given["now"]).astimezone(tz)


class Lines(logging.Handler):
    lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def run(*args):
    archiver = Archiver()
    code = archiver.run(archiver.parse_args(list(args)))
    if code != 0:
        sys.exit(f"borg {' '.join(args)}: exit code {code}")


def make_archives():
    with Repository(repository_path, exclusive=True) as repository:
        manifest, key = Manifest.load(repository, Manifest.NO_OPERATION_CHECK)
        with Cache(repository, key, manifest) as cache:
            commits = repository.commit, cache.commit
            repository.commit = cache.commit = lambda **options: None
            for archive in given["archives"]:
                made = Archive(repository, key, manifest, archive["name"], cache=cache, create=True)
                made.save(timestamp=utc(archive["time"]).replace(tzinfo=None))
            repository.commit, cache.commit = commits
            manifest.write()
            repository.commit(compact=False)
            cache.commit()


logging.lastResort = None
borg.helpers.misc.datetime = StandingClock
run("init", "--encryption", "none", repository_path)
make_archives()
listed = logging.getLogger("borg.output.list")
listed.addHandler(Lines())
listed.propagate = False
answers = []
for case in given["cases"]:
    os.environ["TZ"] = case["zone"]
    time.tzset()
    Lines.lines = []
    run("prune", "--dry-run", "--list", *case["options"], repository_path)
    answers.append(Lines.lines)
json.dump(answers, sys.stdout)
