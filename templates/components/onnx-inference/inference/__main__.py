"""`python -m inference run` runs the model of this component; `check` loads and tries it, and says what came of it."""

from __future__ import annotations

import json
import os
import sys

from inference.agent import Agent, Place, check
from inference.configuration import Configuration, Wrong, parse
from inference.expression import Unreadable
from inference.log import say
from inference.transport import IPC_SOCKET, Greengrass, Unreachable


def main(words: list[str]) -> int:
    """Run one command; its exit code: 0 done, 1 no model runs, 2 wrong words or settings."""
    if words not in (["run"], ["check"]):
        say("python -m inference run|check")
        return 2
    place = Place(os.environ)
    try:
        configuration = _configuration(place)
        if words == ["run"]:
            return Agent(configuration, place).run()
    except (Wrong, Unreadable) as error:
        say(f"the configuration is not usable: {error}")
        return 2
    except Unreachable as error:
        say(str(error))
        return 1
    found = check(configuration, place)
    fault = found.get("fault")
    sys.stdout.write(json.dumps(found) + "\n")
    model = configuration.model
    say(f"{model.name} {model.release} ({model.sha256[:12]}) {f'is no good: {fault}' if fault else 'works'}")
    return 1 if fault else 0


def _configuration(place: Place) -> Configuration:
    """What the recipe put into the environment; where a nucleus left its variable unresolved, what the nucleus says."""
    text = place.environment.get("IOTCTL_INFERENCE", "")
    if (not text or text.startswith("{configuration:")) and place.environment.get(IPC_SOCKET):
        nucleus = Greengrass(lambda _: None)
        text = json.dumps(nucleus.configuration())
        nucleus.close()
    return parse(text, place.thing_name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
