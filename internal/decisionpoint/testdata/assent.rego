# What docs/decision-points.md shows: OPA answers at /v0/data/assent/evaluation, whose
# request is the input itself and whose response is the rule's value.
package assent

default evaluation := {"decision": false, "context": {"reason": "nothing of the policy permits it"}}

evaluation := {"decision": true} if {
	not leaves
	input.action.name != "drop"
}

evaluation := {"decision": false, "context": {
	"reason": sprintf("%d rows leave", [input.context.data.rows]),
	"obligations": [{"id": "1", "type": "custom", "properties": {"action": "review", "from": ["group:reviewers"]}}],
}} if {
	leaves
	input.context.data.rows < 1000
}

leaves if input.context.data.destination_trust == "external"
