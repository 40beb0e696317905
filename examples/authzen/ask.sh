#!/usr/bin/env bash
# May this export run? Asks people when policy says that they decide.
set -euo pipefail
: "${ASSENT:?the server, http://localhost:8720}" "${AGENT:?a token of the agent}"
question='"subject": {"type": "agent", "id": "agent:nightly-exporter"},
  "action": {"name": "copy", "properties": {"kinds": ["data.export"], "target": "customers",
             "payload": "COPY customers TO STDOUT -- curl"}},
  "resource": {"type": "postgres", "id": "postgres:shop/customers"}'

call() { # METHOD PATH [BODY]
  curl -sS --fail-with-body -X "$1" "$ASSENT$2" -H "Authorization: Bearer $AGENT" \
    -H "Content-Type: application/json" ${3:+--data-binary "$3"}
}
field() { python3 -c 'import json,sys
v = json.load(sys.stdin)
for k in sys.argv[1].split("."): v = (v or {}).get(k)
print(v if isinstance(v, str) else json.dumps(v))' "$1"; }

decision=$(call POST /access/v1/evaluation "{$question}")
if [ "$(field decision <<<"$decision")" = true ]; then echo allowed; exit 0; fi
if [ "$(field context.next_action <<<"$decision")" != request ]; then
  echo "denied: $(field context.reason <<<"$decision")"; exit 1
fi
echo "asking $(field context.who <<<"$decision")"
task=$(call POST /access/v1/requests "{$question, \"denial\": {
  \"evaluation_id\": \"$(field context.evaluation_id <<<"$decision")\",
  \"expires_at\": \"$(field context.access_request.expires_at <<<"$decision")\",
  \"binding_token\": \"$(field context.access_request.binding_token <<<"$decision")\"}}")
id=$(field task.id <<<"$task")
for _ in $(seq 20); do
  [ "$(field task.status <<<"$task")" = pending ] || break
  task=$(call GET "/access/v1/requests/$id?wait=30")
done
case "$(field task.status <<<"$task")" in
approved) ;;
pending) echo "nobody has decided yet: $(field task.links.ticket <<<"$task")"; exit 75 ;;
*) echo "denied: $(field task.status <<<"$task")"; exit 1 ;;
esac
# The approval goes back exactly as it came.
decision=$(call POST /access/v1/evaluation "{$question, \"context\": {\"approval\": $(field result.approval <<<"$task")}}")
if [ "$(field decision <<<"$decision")" = true ]; then echo allowed; exit 0; fi
echo "denied: $(field context.reason <<<"$decision")"
exit 1
