// Takes Assent's webhooks: prints what is genuine, and answers 401 to the rest.
//   ASSENT_WEBHOOK_SECRET=whsec_… node receive.mjs
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.ASSENT_WEBHOOK_SECRET);
const seen = new Set(); // a real receiver keeps the ids of the last day

const server = createServer(async (req, res) => {
  const parts = [];
  for await (const part of req) parts.push(part);
  const body = Buffer.concat(parts).toString("utf8"); // as it came: parsing first would change the bytes
  let event;
  try {
    event = webhook.verify(body, req.headers);
  } catch {
    res.writeHead(401).end();
    return;
  }
  if (!seen.has(event.id)) {
    seen.add(event.id);
    const about = event.data.approval ?? event.data.notice;
    console.log(event.type, event.subject, about.title);
  }
  res.writeHead(204).end();
});
server.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => console.log("listening", server.address().port));
