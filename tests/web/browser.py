"""Chromium without a window, over its own protocol: JSON between zero bytes, on two pipes."""

import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

PATIENCE = 60


class Browser:
    def __init__(self, program="chromium"):
        self.profile = tempfile.mkdtemp(prefix="slowfs-web-")
        to_read, self.to = os.pipe()
        self.of, to_write = os.pipe()
        flags = ["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run",
                 "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
                 "--disable-default-apps", "--disable-sync", "--hide-scrollbars", f"--user-data-dir={self.profile}"]
        command = ["bash", "-c", f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}', program, *flags, "about:blank"]
        self.log = open(os.path.join(self.profile, "log"), "wb")
        self.process = subprocess.Popen(command, pass_fds=(to_read, to_write), stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, start_new_session=True)
        os.close(to_read)
        os.close(to_write)
        self.bytes, self.number, self.events = b"", 0, []

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.to)
        os.close(self.of)
        self.log.close()
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, session=None, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while True:
            answer = self.next(until)
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def next(self, until):
        while b"\0" not in self.bytes:
            ready, _, _ = select.select([self.of], [], [], max(until - time.monotonic(), 0))
            assert ready, f"Chromium has not answered within {PATIENCE} s"
            some = os.read(self.of, 1 << 16)
            assert some, "Chromium has ended"
            self.bytes += some
        message, _, self.bytes = self.bytes.partition(b"\0")
        return json.loads(message)

    def page(self, size=(1200, 1400), dark=False):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, session, size, dark)


class Page:
    """A tab. All that it complains of is kept."""

    def __init__(self, browser, session, size, dark):
        self.browser, self.session = browser, session
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable")
        width, height = size
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def open(self, url):
        self.run("window.isBefore = true")
        answer = self.call("Page.navigate", url=url)
        assert "errorText" not in answer, f"{url}: {answer}"
        self.until(f"{url} to be loaded", "!window.isBefore && document.readyState == 'complete'")

    def run(self, script):
        """The value of a script, which may be a promise."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, f"{script}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def until(self, what, script):
        """Waits until a script's value is true."""
        until = time.monotonic() + PATIENCE
        while True:
            found = self.run(f"!!({script})")
            if found:
                return
            if time.monotonic() > until:
                text = self.run("document.body?.innerText")
                raise AssertionError(f"waited {PATIENCE} s for {what}; the page says:\n{text}")
            time.sleep(0.05)

    def click(self, selector):
        """As a user does: with the pointer, on what is there to be seen."""
        box = self.run(f"""(() => {{ const node = document.querySelector({json.dumps(selector)});
            node.scrollIntoView({{ block: "center" }}); const box = node.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2]; }})()""")
        for what in ["mousePressed", "mouseReleased"]:
            self.call("Input.dispatchMouseEvent", type=what, x=box[0], y=box[1], button="left", clickCount=1)

    def write(self, selector, text):
        self.run(f"document.querySelector({json.dumps(selector)}).select()")
        self.call("Input.insertText", text=text)

    def screenshot(self, path):
        import base64

        self.run("window.scrollTo(0, 0)")
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def complaints(self):
        """What scripts threw, and what the browser warned of: blocked by the policy, not found."""
        self.run("0")
        told = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            params = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                told.append(params["exceptionDetails"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
                told.append(str(params["args"]))
            elif event["method"] == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                told.append(params["entry"]["text"])
        return told

    def requests(self):
        """The addresses that were asked."""
        sent = [event for event in self.browser.events if event["method"] == "Network.requestWillBeSent"]
        return {event["params"]["request"]["url"] for event in sent if event.get("sessionId") == self.session}
