// Slack's own framework takes what the fake Slack of our tests sends, so that
// our door is tried with what a real app would accept.
import bolt from "@slack/bolt";

const { App, HTTPReceiver, LogLevel } = bolt;
const receiver = new HTTPReceiver({ signingSecret: process.env.SIGNING, endpoints: ["/interactive", "/command"], logLevel: LogLevel.ERROR });
const app = new App({ token: process.env.TOKEN, receiver, clientOptions: { slackApiUrl: process.env.API }, logLevel: LogLevel.ERROR });

app.action("assent:approve", async ({ ack, respond, body, action }) => {
  await ack();
  await respond({ replace_original: true, text: `${body.user.id} ${body.container.channel_id} ${action.value}` });
});
app.action("assent:deny", async ({ ack, body, client }) => {
  await ack();
  await client.views.open({
    trigger_id: body.trigger_id,
    view: {
      type: "modal", callback_id: "assent:deny", private_metadata: body.container.channel_id,
      title: { type: "plain_text", text: "Deny" }, submit: { type: "plain_text", text: "Deny" },
      blocks: [{ type: "input", block_id: "text", label: { type: "plain_text", text: "Why?" }, element: { type: "plain_text_input", action_id: "text" } }],
    },
  });
});
app.view("assent:deny", async ({ ack, view, body, client }) => {
  await ack();
  await client.chat.postEphemeral({ channel: view.private_metadata, user: body.user.id, text: `reason: ${view.state.values.text.text.value}` });
});
app.command("/assent", async ({ ack, respond, command }) => {
  await ack();
  await respond({ text: `typed ${command.text} in ${command.channel_id}` });
});

await app.start(Number(process.env.PORT));
console.log("ready");
