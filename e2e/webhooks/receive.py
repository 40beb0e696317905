"""Takes Assent's webhooks: prints what is genuine, and answers 401 to the rest.

ASSENT_WEBHOOK_SECRET=whsec_... python3 receive.py
"""

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["ASSENT_WEBHOOK_SECRET"])
seen = set()  # a real receiver keeps the ids of the last day


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            webhook.verify(body, {k.lower(): v for k, v in self.headers.items()})
        except WebhookVerificationError:
            self.send_response(401)
            self.end_headers()
            return
        event = json.loads(body)
        if event["id"] not in seen:
            seen.add(event["id"])
            about = event["data"].get("approval") or event["data"]["notice"]
            print(event["type"], event["subject"], about["title"], flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


server = HTTPServer(("127.0.0.1", int(os.environ.get("PORT", "0"))), Receiver)
print("listening", server.server_port, flush=True)
server.serve_forever()
