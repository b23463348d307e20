import re

import pytest

from tests.panel.world import PASSWORD, TECHNOLOGIST, World


class Browser:
    """Flask's test client with the manners of a browser: it sends back the token that the page gave it."""

    def __init__(self, world: World, address: str = "127.0.0.1") -> None:
        self.client = world.app.test_client()
        self.client.environ_base = {"REMOTE_ADDR": address}
        self.token = ""

    def get(self, path, **given):
        return self._seen(self.client.get(path, **given))

    def post(self, path, data=None, **given):
        if not self.token:
            self.get("/sign-in")
        return self._seen(self.client.post(path, data={"csrf": self.token} | (data or {}), **given))

    def json(self, path, data=None):
        return self.post(path, data, headers={"Accept": "application/json"})

    def sign_in(self, name=TECHNOLOGIST, password=PASSWORD):
        self.get("/sign-in")
        answer = self.post("/sign-in", {"name": name, "password": password})
        assert answer.status_code == 303, answer.text
        self.get("/")
        return self

    def _seen(self, answer):
        if found := re.search(r'name="csrf" value="([^"]+)"', answer.text if answer.mimetype == "text/html" else ""):
            self.token = found[1]
        return answer


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def peopled(world):
    world.people()
    world.worklist()
    world.signal()
    return world


@pytest.fixture
def browser(peopled):
    """A technologist who has signed in."""
    return Browser(peopled).sign_in()
