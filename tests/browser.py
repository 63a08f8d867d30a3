"""A headless Chromium that tests open pages in, with what its console said and what it asked the network for."""

import contextlib
import importlib.util
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

__all__ = ["Browser", "browser", "missing"]

SECONDS_TO_WAIT = 60.0


def missing() -> str | None:
    """Why no page can be opened here, if none can."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)} not installed: make browser"
    return None if importlib.util.find_spec("selenium") else "selenium is not installed"


class Browser:
    """A window of a browser.

    Arguments:
        driver: Selenium's, with the logs ``browser`` and ``performance`` switched on.
    """

    def __init__(self, driver: "WebDriver") -> None:
        self.driver = driver
        self._console: list[str] = []
        self._requests: list[str] = []

    def open(self, address: str | Path) -> None:
        """Opens a page by its address, or a file."""
        self.driver.get(address.absolute().as_uri() if isinstance(address, Path) else address)

    def resize(self, width: int, height: int) -> None:
        """Gives the page a size, in pixels; a window can be no narrower than 500, a page can."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def run(self, script: str) -> Any:
        """What a script returns."""
        return self.driver.execute_script(script)

    def text(self) -> str:
        """Text of the page as it is shown."""
        return str(self.run("return document.body ? document.body.innerText : ''"))

    def wait(self, holds: Callable[[str], bool], seconds: float = SECONDS_TO_WAIT) -> str:
        """Waits until the text of the page is as it should be, and returns it.

        Raises:
            TimeoutError: it does not become so.
        """
        until = time.monotonic() + seconds
        while not holds(text := self.text()):
            if time.monotonic() > until:
                raise TimeoutError(f"after {seconds:g} s the page shows: {text[:2000]}")
            time.sleep(0.2)
        return text

    def screenshot(self, path: Path) -> None:
        """Saves what the window shows as a PNG file."""
        path.write_bytes(self.driver.get_screenshot_as_png())

    def console(self) -> list[str]:
        """Everything that the console has said, each with its level in front: ``SEVERE …``."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        self._console += [f"{entry['level']} {entry['message']}" for entry in entries]
        return list(self._console)

    def requests(self) -> list[str]:
        """Addresses of everything that pages have asked for, themselves included."""
        for entry in self.driver.get_log("performance"):  # type: ignore[no-untyped-call]
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self._requests.append(message["params"]["request"]["url"])
        return list(self._requests)


@contextlib.contextmanager
def browser(width: int = 1280, height: int = 900) -> Iterator[Browser]:
    """Opens an empty window, and closes it."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--window-size={width},{height}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
