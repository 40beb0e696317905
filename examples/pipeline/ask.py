#!/usr/bin/env python3
"""May this pipeline go on? Asks Assent, and people where policy says that they decide.

    ASSENT=https://assent.example.com AGENT=ast_… ask.py --actor pipeline:deployer --kind deploy --verb deploy \\
        --type service --resource service:shop --target shop --reason "release 1.4" release.json

The file holds exactly what would be done (a plan, a manifest, a digest): an approval is for these bytes, in this
question, and is used once. Ends with 0 where it may go on, 1 where it may not, 75 where nobody has decided within --wait.
"""
import argparse
import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request


def call(method, path, body=None):
    request = urllib.request.Request(
        os.environ["ASSENT"].rstrip("/") + path, method=method, data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": "Bearer " + os.environ["AGENT"], "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as e:
        sys.exit(f"denied: the server answers {e.code}: {e.read(2000).decode(errors='replace')}")
    except (urllib.error.URLError, OSError, ValueError) as e:
        sys.exit(f"denied: no answer that can be read: {e}")


def main():
    p = argparse.ArgumentParser()
    for name in ("actor", "kind", "verb", "type", "resource", "target"):
        p.add_argument("--" + name, required=True)
    p.add_argument("--reason", default="")
    p.add_argument("--wait", type=int, default=1800, help="seconds")
    p.add_argument("file")
    a = p.parse_args()
    with open(a.file, "rb") as f:
        payload = base64.b64encode(f.read()).decode()
    question = {
        "subject": {"type": a.actor.partition(":")[0], "id": a.actor},
        "action": {"name": a.verb, "properties": {"kinds": [a.kind], "target": a.target, "payload_base64": payload}},
        "resource": {"type": a.type, "id": a.resource},
        "context": {"reason": a.reason} if a.reason else {},
    }
    said = call("POST", "/access/v1/evaluation", question)
    if said.get("decision") is True:
        print("allowed")
        return 0
    context = said.get("context", {})
    if context.get("next_action") != "request":
        print("denied:", context.get("reason"))
        return 1
    print("asking", context.get("who"), flush=True)
    asked = call("POST", "/access/v1/requests", question | {"denial": {
        "evaluation_id": context.get("evaluation_id"), "expires_at": context["access_request"]["expires_at"],
        "binding_token": context["access_request"]["binding_token"]}})
    end = time.monotonic() + a.wait
    while asked["task"]["status"] == "pending" and (left := end - time.monotonic()) > 0:
        asked = call("GET", f"/access/v1/requests/{asked['task']['id']}?wait={max(1, min(30, int(left)))}")
    task = asked["task"]
    if task["status"] == "pending":
        print("nobody has decided yet:", task["links"]["ticket"])
        return 75
    if task["status"] != "approved":
        print("denied:", task["status"])
        return 1
    # The approval goes back as it came, with the same question: that uses it.
    said = call("POST", "/access/v1/evaluation", question | {"context": question["context"] | {"approval": asked["result"]["approval"]}})
    if said.get("decision") is True:
        print("allowed")
        return 0
    print("denied:", said.get("context", {}).get("reason"))
    return 1


if __name__ == "__main__":
    sys.exit(main())
