package slacktest

import (
	"encoding/json"
	"unicode/utf16"
)

// text is a composition object.
type text struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// A block is as much of one as limits are about.
type block struct {
	Type     string            `json:"type"`
	Text     *text             `json:"text"`
	Elements []json.RawMessage `json:"elements"`
	Label    *text             `json:"label"`
}

func units(s string) int          { return len(utf16.Encode([]rune(s))) }
func long(s string, max int) bool { return s == "" || units(s) > max }
func wrong(t *text, max int) bool { return t == nil || long(t.Text, max) }
func plain(t *text, max int) bool { return wrong(t, max) || t.Type != "plain_text" }
func checkMessage(t, b string) string {
	switch {
	case t == "" && b == "":
		return "no_text"
	case units(t) > 40_000:
		return "msg_too_long"
	case b == "":
		return ""
	}
	return checkBlocks([]byte(b))
}

// checkBlocks holds blocks to Slack's limits; "": they are good.
func checkBlocks(raw []byte) string {
	var blocks []block
	if json.Unmarshal(raw, &blocks) != nil {
		return "invalid_blocks_format"
	}
	if len(blocks) == 0 || len(blocks) > 50 {
		return "invalid_blocks"
	}
	total := 0
	for i := range blocks {
		if !blocks[i].good(&total) {
			return "invalid_blocks"
		}
	}
	if total > 13_200 {
		return "msg_blocks_too_long"
	}
	return ""
}

func (b *block) good(total *int) bool {
	switch b.Type {
	case "header":
		return !plain(b.Text, 150)
	case "section":
		return !wrong(b.Text, 3000)
	case "input":
		return !plain(b.Label, 2000)
	case "context":
		return len(b.Elements) > 0 && len(b.Elements) <= 10 && each(b.Elements, func(e element) bool { *total += units(e.Text.string()); return !long(e.Text.string(), 3000) })
	case "actions":
		return len(b.Elements) > 0 && len(b.Elements) <= 25 && each(b.Elements, element.button)
	case "rich_text":
		return len(b.Elements) > 0 && each(b.Elements, func(e element) bool { return e.rich(total) })
	case "divider":
		return true
	}
	return false
}

// An element's text is a string in rich text and in context, an object in a button.
type element struct {
	Type     string            `json:"type"`
	Text     anyText           `json:"text"`
	ID       string            `json:"action_id"`
	Value    string            `json:"value"`
	URL      string            `json:"url"`
	Style    json.RawMessage   `json:"style"`
	Elements []json.RawMessage `json:"elements"`
}

type anyText struct{ json.RawMessage }

func (t *anyText) UnmarshalJSON(b []byte) error { t.RawMessage = b; return nil }

func (t anyText) string() string {
	var s string
	if json.Unmarshal(t.RawMessage, &s) == nil {
		return s
	}
	var o text
	_ = json.Unmarshal(t.RawMessage, &o)
	return o.Text
}

func each(raw []json.RawMessage, ok func(element) bool) bool {
	for _, r := range raw {
		var e element
		if json.Unmarshal(r, &e) != nil || !ok(e) {
			return false
		}
	}
	return true
}

func (e element) button() bool {
	style := string(e.Style)
	return e.Type == "button" && !long(e.Text.string(), 75) && units(e.Value) <= 2000 && units(e.ID) <= 255 && units(e.URL) <= 3000 &&
		(style == "" || style == `"primary"` || style == `"danger"`)
}

func (e element) rich(total *int) bool {
	switch e.Type {
	case "rich_text_section", "rich_text_preformatted", "rich_text_quote":
		return each(e.Elements, func(x element) bool {
			*total += units(x.Text.string())
			return x.Type != "text" || x.Text.string() != ""
		})
	case "rich_text_list":
		return len(e.Elements) > 0 && each(e.Elements, func(x element) bool { return x.rich(total) })
	}
	return false
}
