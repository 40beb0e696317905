# Drives OpenAI's and Anthropic's official clients, as assent run leads them, and
# tells a line of JSON for each scenario.
import json, sys
import anthropic, openai

EMAIL, PLAIN = sys.argv[1], sys.argv[2]


def tell(name, **what):
    print(json.dumps({"name": name, **what}), flush=True)


o, a = openai.OpenAI(), anthropic.Anthropic()
user = [{"role": "user", "content": "I am " + EMAIL}]
send = {"type": "object", "properties": {"to": {"type": "string"}}}

r = o.chat.completions.create(model="gpt-x", messages=user)
tell("chat", text=r.choices[0].message.content)

text, args = "", ""
for chunk in o.chat.completions.create(model="gpt-x", messages=user, stream=True, stream_options={"include_usage": True},
                                       tools=[{"type": "function", "function": {"name": "send", "parameters": send}}]):
    for c in chunk.choices:
        text += c.delta.content or ""
        for t in c.delta.tool_calls or []:
            args += t.function.arguments or ""
tell("chat stream", text=text, to=json.loads(args)["to"])

with o.chat.completions.stream(model="gpt-x", messages=user) as s:
    tell("chat accumulated", text=s.get_final_completion().choices[0].message.content)

text = ""
with o.responses.stream(model="gpt-x", input="I am " + EMAIL, tools=[{"type": "function", "name": "send", "parameters": send, "strict": False}]) as s:
    for e in s:
        if e.type == "response.output_text.delta":
            text += e.delta
    final = s.get_final_response()
call = [i for i in final.output if i.type == "function_call"][0]
tell("responses stream", text=text, final=final.output_text, to=json.loads(call.arguments)["to"])

r = a.messages.create(model="claude-x", max_tokens=50, messages=user)
tell("messages", text=r.content[0].text)

with a.messages.stream(model="claude-x", max_tokens=50, messages=user, tools=[{"name": "send", "input_schema": send}]) as s:
    text = "".join(s.text_stream)
    final = s.get_final_message()
tell("messages stream", text=text, final=final.content[0].text, to=[b for b in final.content if b.type == "tool_use"][0].input["to"])

tell("models", text=o.models.list().data[0].id)

for name, f in {
    "openai denied": lambda: o.chat.completions.create(model="gpt-x", messages=[{"role": "user", "content": "ghp_16C7e42F292c6912E7710c838347Ae178B4a"}]),
    "anthropic denied": lambda: a.messages.create(model="claude-x", max_tokens=5, messages=[{"role": "user", "content": "ghp_16C7e42F292c6912E7710c838347Ae178B4a"}]),
}.items():
    try:
        f()
        tell(name, text="it went through")
    except (openai.PermissionDeniedError, anthropic.PermissionDeniedError) as e:
        tell(name, text=str(e), retries=e.response.request.headers.get("x-stainless-retry-count"))

tell("asking")
r = o.chat.completions.create(model="gpt-x", messages=[{"role": "user", "content": "pay with " + PLAIN}])
tell("held", text=r.choices[0].message.content)
