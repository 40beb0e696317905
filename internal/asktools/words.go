package asktools

import (
	"strings"

	"github.com/assenthq/assent/client"
)

// status is the API's word in ours.
func status(s string) string {
	if s == "cancelled" {
		return "withdrawn"
	}
	return s
}

// next says why a request stands as it does, and what its asker can do. here: it
// was just asked for with assent_ask.
func next(r *client.Request, here bool) (reason, advice string) {
	switch r.Status {
	case "pending":
		return "people have not decided yet", "Call assent_wait with approval_id. Don't do it meanwhile, and don't ask for it in other words."
	case "approved":
		switch {
		case r.Execution != "":
			return "it was approved and used: it is " + r.Execution, "Its approval is used up. Ask again if it is needed again."
		case here:
			return "people approved it", "Call assent_ask with the same action and use=true, right before you do it."
		}
		return "people approved it", "Repeat exactly the call that was held: it finds this approval. (What you asked with assent_ask: the same action again with use=true.) Other arguments are another action."
	case "denied":
		return "a reviewer denied it", "Don't do it, and don't try another way to the same end. Tell the person you work for. Asked again within the hour it needs one reviewer more."
	case "expired":
		return "nobody decided in time, or it was not used in time", "Ask again when reviewers are there."
	case "partial":
		return "its actions ended differently", "See items. Ask again with what is left to do."
	}
	return "it was withdrawn", "Ask again if it is still needed."
}

// said is a result as one short text.
func said(status, id, who, reason, next, url string) string {
	var b strings.Builder
	b.WriteString(strings.ToUpper(status))
	if id != "" {
		b.WriteString(" (approval " + id + ")")
	}
	if reason != "" {
		b.WriteString(": " + reason)
	}
	b.WriteString(".")
	if who != "" {
		b.WriteString(" Who can approve: " + who + ".")
	}
	if next != "" {
		b.WriteString(" " + next)
	}
	if url != "" && strings.HasPrefix(strings.ToLower(status), "pend") {
		b.WriteString(" A person can look at it here: " + url)
	}
	return b.String()
}
