package slack

import (
	"fmt"
	"strings"
)

// Scopes are what the app's bot may do, each with the methods that need it.
var Scopes = []string{
	"chat:write",                   // cards: chat.postMessage, chat.update, chat.postEphemeral
	"commands",                     // /assent
	"im:write",                     // to write to one person: conversations.open
	"users:read",                   // whether an account is a member's: users.info
	"channels:read", "groups:read", // channels by name: users.conversations
	"channels:history", "groups:history", "im:history", // a card that may be there already: conversations.history
}

// Manifest is the app's, in YAML, for https://api.slack.com/apps. socket: by
// Socket Mode, so Slack needs no way to this server.
func Manifest(publicURL, channel string, socket bool) string {
	at := strings.TrimSuffix(publicURL, "/") + "/channels/" + channel
	command, interactive := fmt.Sprintf("\n      url: %q", at+pathCommand), fmt.Sprintf("\n    request_url: %q", at+pathInteractive)
	if socket {
		command, interactive = "", ""
	}
	return fmt.Sprintf(`display_information:
  name: Assent
  description: Approvals of what agents do
  background_color: "#1f2430"
features:
  bot_user:
    display_name: assent
    always_online: true
  slash_commands:
    - command: /assent%s
      description: Approvals that wait for you
      usage_hint: "inbox | why ID | link CODE"
      should_escape: false
oauth_config:
  scopes:
    bot:
      - %s
settings:
  interactivity:
    is_enabled: true%s
  org_deploy_enabled: false
  socket_mode_enabled: %t
  token_rotation_enabled: false
`, command, strings.Join(Scopes, "\n      - "), interactive, socket)
}
