"""The files for containers (packaging/docker, packaging/kubernetes). No engine is needed: schemas are checked by the
tools that have them, and what the files say is done by hand, in an empty root."""

import json
import os
import re
import shutil
import subprocess

import yaml
from daemons import stop, until
from rooms import Room, output

# The oldest with sidecars, and the newest whose schema the tool has.
KUBERNETES = ("1.29", "1.37")


def are_valid(repository, tools):
    """What would be refused before anything is started."""
    output(tools / "hadolint", repository / "packaging/docker/Dockerfile")
    output(tools / "docker-compose", "-f", repository / "packaging/docker/compose.yaml", "config", "--quiet")
    for version in KUBERNETES:
        output(tools / "kubernetes-validate", "--strict", "-k", version, repository / "packaging/kubernetes/redis.yaml")


class Image:
    """What a Dockerfile makes: a root directory, and how a container of it is run."""

    def __init__(self, dockerfile, context, path):
        self.room, self.environment, self.entrypoint, self.command = None, {}, [], []
        lines = dockerfile.read_text().splitlines()
        for word, rest in (line.split(" ", 1) for line in lines if line and not line.startswith("#")):
            if word == "FROM":
                assert rest == "scratch" and self.room is None, rest
                self.room = Room(path)
            elif word == "COPY":
                source, place = rest.split(" ")
                self.directory(os.path.dirname(place))
                shutil.copy(context / source, self.room.path / place.lstrip("/"))
            elif word == "WORKDIR":
                self.directory(rest)
            elif word == "ENV":
                self.environment.update([rest.split("=", 1)])
            elif word == "ENTRYPOINT":
                self.entrypoint = json.loads(rest)
            elif word == "CMD":
                self.command = json.loads(rest)
            else:
                raise AssertionError(f"{dockerfile}: this test does not know {word}")

    def directory(self, place):
        (self.room.path / place.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def argv(self, *command):
        return ["/usr/sbin/chroot", self.room.path, *command]

    def execute(self, *command):
        """As `docker exec` and the probes do."""
        return output(*self.argv(*command), env=self.environment)

    def start(self, command, log):
        """As `docker run` does."""
        argv = self.argv(*self.entrypoint, *command)
        return subprocess.Popen(argv, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def works(image, command, probe, log):
    """The commands of a container of slowfs: it is well once it mirrors, and what is asked of it is met."""
    _, raw, place, *_ = command
    for directory in (raw, place):
        image.directory(directory)
    raw, place = (image.room.path / path.lstrip("/") for path in (raw, place))
    with open(log, "wb") as out:
        container = image.start(command, out)
    try:
        def is_well():
            return subprocess.run(image.argv(*probe), env=image.environment, capture_output=True).returncode == 0

        until(is_well, "successful probe", [(container, log)])
        assert os.path.ismount(place), "well, and not mounted"
        (place / "file").write_text("mirrored")
        assert (raw / "file").read_text() == "mirrored"
        image.execute("slowfs", "error", "ENOSPC", "-m", "mkdir")
        try:
            (place / "directory").mkdir()
        except OSError as error:
            assert "No space left" in str(error), error
        else:
            raise AssertionError("the fault was not met")
    finally:
        stop(container)
    assert container.returncode == 0, log.read_text()
    assert not os.path.ismount(place), "it is mounted still"


def is_done_by_hand(repository, static, scratch):
    """The Dockerfile is followed, and run with what the Compose file and the manifest say."""
    context = scratch / "context"
    context.mkdir()
    shutil.copy(static, context / "slowfs")
    image = Image(repository / "packaging/docker/Dockerfile", context, scratch / "image")
    image.room.furnish("fuse")
    assert (image.room / "tmp").is_dir(), "held data has nowhere to go"
    assert "slowfs mount" in image.execute(*image.entrypoint, *image.command)

    compose = yaml.safe_load((repository / "packaging/docker/compose.yaml").read_text())
    service = compose["services"]["slowfs"]
    kind, *probe = service["healthcheck"]["test"]
    assert kind == "CMD", kind
    works(image, service["command"], probe, scratch / "compose.log")

    *_, workload = yaml.safe_load_all((repository / "packaging/kubernetes/redis.yaml").read_text())
    containers = workload["spec"]["template"]["spec"]["initContainers"]
    [sidecar] = [one for one in containers if one["name"] == "slowfs"]
    works(image, sidecar["args"], sidecar["startupProbe"]["exec"]["command"], scratch / "kubernetes.log")

    version = re.search(r'^version = "(.*)"', (repository / "Cargo.toml").read_text(), re.MULTILINE).group(1)
    for named in (service["image"], sidecar["image"]):
        assert named == f"slowfs:{version}", f"{named}: this is {version}"
