// Drives OpenAI's and Anthropic's official clients, as assent run leads them, and
// tells a line of JSON for each scenario.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const [email, plain] = process.argv.slice(2);
const tell = (name, what) => console.log(JSON.stringify({ name, ...what }));
const o = new OpenAI(), a = new Anthropic();
const user = [{ role: "user", content: "I am " + email }];
const send = { type: "object", properties: { to: { type: "string" } } };

tell("chat", { text: (await o.chat.completions.create({ model: "gpt-x", messages: user })).choices[0].message.content });

let text = "", args = "";
for await (const chunk of await o.chat.completions.create({ model: "gpt-x", messages: user, stream: true, stream_options: { include_usage: true }, tools: [{ type: "function", function: { name: "send", parameters: send } }] })) {
  for (const c of chunk.choices) {
    text += c.delta.content ?? "";
    for (const t of c.delta.tool_calls ?? []) args += t.function.arguments ?? "";
  }
}
tell("chat stream", { text, to: JSON.parse(args).to });

const done = await o.chat.completions.stream({ model: "gpt-x", messages: user }).finalChatCompletion();
tell("chat accumulated", { text: done.choices[0].message.content });

text = "";
const rs = o.responses.stream({ model: "gpt-x", input: "I am " + email, tools: [{ type: "function", name: "send", parameters: send, strict: false }] });
for await (const e of rs) if (e.type === "response.output_text.delta") text += e.delta;
const rf = await rs.finalResponse();
tell("responses stream", { text, final: rf.output_text, to: JSON.parse(rf.output.find((i) => i.type === "function_call").arguments).to });

tell("messages", { text: (await a.messages.create({ model: "claude-x", max_tokens: 50, messages: user })).content[0].text });

text = "";
const ms = a.messages.stream({ model: "claude-x", max_tokens: 50, messages: user, tools: [{ name: "send", input_schema: send }] });
ms.on("text", (t) => { text += t; });
const mf = await ms.finalMessage();
tell("messages stream", { text, final: mf.content[0].text, to: mf.content.find((b) => b.type === "tool_use").input.to });

tell("models", { text: (await o.models.list()).data[0].id });

const secret = [{ role: "user", content: "ghp_16C7e42F292c6912E7710c838347Ae178B4a" }];
for (const [name, f] of Object.entries({
  "openai denied": () => o.chat.completions.create({ model: "gpt-x", messages: secret }),
  "anthropic denied": () => a.messages.create({ model: "claude-x", max_tokens: 5, messages: secret }),
})) {
  try {
    await f();
    tell(name, { text: "it went through" });
  } catch (e) {
    tell(name, { text: e.message, retries: e.status === 403 ? "0" : "" + e.status });
  }
}

tell("asking");
const held = await o.chat.completions.create({ model: "gpt-x", messages: [{ role: "user", content: "pay with " + plain }] });
tell("held", { text: held.choices[0].message.content });
