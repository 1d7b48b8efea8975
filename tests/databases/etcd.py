"""One etcd, over the JSON form of its own protocol."""

import base64
import http.client
import json
import re

from programs import PATIENCE, Refused, Server, output
import daemons


def encoded(text):
    return base64.b64encode(str(text).encode()).decode()


def decoded(text):
    return base64.b64decode(text).decode(errors="replace")


class Etcd(Server):
    name, title = "etcd", "etcd"
    log, data = r".*/member/wal/.*\.(wal|tmp)", r".*/member/snap/db"
    loud = r'"level":"(warn|error|dpanic|panic|fatal)"|^(panic|fatal error|unexpected fault)'
    usual = (r"took too long|ignored file in WAL|simple token|\"method\":\"GET\"|check file permission|deprecated|"
             r"insecure|leader is overloaded|slow fdatasync")
    quiet = r"repaired|\.broken"
    noise = r',?"(ts|took|caller|stacktrace)":"[^"]*"'
    promise = ("A put is in the log on disk when it is answered. Records of the log have a chain of CRCs; "
               "pages of the database (bbolt) have none.")

    def __init__(self, home, scratch):
        super().__init__(home, scratch)
        self.client, self.peer = daemons.free_ports(2)

    def program(self):
        return "etcd " + re.search(r"etcd Version: (\S+)", output(["etcd", "--version"]))[1]

    def argv(self):
        client, peer = f"http://127.0.0.1:{self.client}", f"http://127.0.0.1:{self.peer}"
        return ["etcd", "--name=one", f"--data-dir={self.home}/etcd", f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}", "--logger=zap",
                f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=one={peer}"]

    def is_ready(self):
        try:
            return self.post("GET", "/health").get("health") == "true"
        except Refused:
            return False

    def post(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.client, timeout=PATIENCE)
        try:
            connection.request(method, path, body and json.dumps(body))
            answer = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Refused(f"{type(error).__name__}: {error}") from None
        finally:
            connection.close()
        if "error" in answer:
            raise Refused(str(answer["error"]))
        return answer

    def commit(self, rows):
        puts = [{"requestPut": {"key": encoded(f"{row:08}"), "value": encoded(text)}}
                for row, text in rows.items()]
        self.post("POST", "/v3/kv/txn", {"success": puts})

    def range(self, key, end=None):
        body = {"key": encoded(key)} | ({"range_end": encoded(end)} if end else {})
        return self.post("POST", "/v3/kv/range", body).get("kvs", [])

    def scan(self):
        pairs = [(decoded(kv["key"]), decoded(kv.get("value", ""))) for kv in self.range("0", "~")]
        return {int(key) if key.isdecimal() else key: text for key, text in pairs}

    def get(self, row):
        pairs = self.range(f"{row:08}")
        return decoded(pairs[0].get("value", "")) if pairs else None

    def checkpoint(self):
        """It commits to its database every 100 ms; `defragment` ends with such a commit."""
        self.post("POST", "/v3/maintenance/defragment", {})
