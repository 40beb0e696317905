#!/usr/bin/env python3
"""May this export run? Asks people when policy says that they decide."""
import json
import os
import sys
import urllib.request

ASSENT, AGENT = os.environ["ASSENT"], os.environ["AGENT"]
QUESTION = {
    "subject": {"type": "agent", "id": "agent:nightly-exporter"},
    "action": {"name": "copy", "properties": {
        "kinds": ["data.export"], "target": "customers", "payload": "COPY customers TO STDOUT -- python"}},
    "resource": {"type": "postgres", "id": "postgres:shop/customers"},
}


def call(method, path, body=None):
    """Any status but 2xx raises; the answer is the JSON that came back."""
    request = urllib.request.Request(
        ASSENT + path, method=method, data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {AGENT}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=90) as answer:
        return json.load(answer)


def ask():
    """Returns the last word: (allowed, what to say, exit status)."""
    decision = call("POST", "/access/v1/evaluation", QUESTION)
    context = decision.get("context", {})
    if decision["decision"]:
        return "allowed", 0
    if context.get("next_action") != "request":
        return f"denied: {context.get('reason')}", 1
    print("asking", context["who"])
    task = call("POST", "/access/v1/requests", QUESTION | {"denial": {
        "evaluation_id": context["evaluation_id"],
        "expires_at": context["access_request"]["expires_at"],
        "binding_token": context["access_request"]["binding_token"]}})
    for _ in range(20):
        if task["task"]["status"] != "pending":
            break
        task = call("GET", f"/access/v1/requests/{task['task']['id']}?wait=30")
    if task["task"]["status"] == "pending":
        return f"nobody has decided yet: {task['task']['links']['ticket']}", 75
    if task["task"]["status"] != "approved":  # an unknown status is not approved either
        return f"denied: {task['task']['status']}", 1
    # The approval goes back exactly as it came.
    decision = call("POST", "/access/v1/evaluation", QUESTION | {"context": {"approval": task["result"]["approval"]}})
    if decision["decision"]:
        return "allowed", 0
    return f"denied: {decision['context']['reason']}", 1


said, status = ask()
print(said)
sys.exit(status)
