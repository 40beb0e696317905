package trail

import "github.com/assenthq/assent/internal/approval"

// Told makes p the prompt of a session.
func (b *Book) Told(session string, p *approval.Prompt) {
	b.prompts = map[string]*told{session: {prompt: p}}
}
