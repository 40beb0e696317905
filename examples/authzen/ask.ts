// May this export run? Asks people when policy says that they decide.
declare const process: { env: Record<string, string | undefined>; exit(status: number): never };

interface Approval { id: string; approved_at?: string; approved_until: string; state?: string }
interface Decision {
  decision: boolean;
  context?: {
    reason?: string; who?: string; next_action?: "request" | "retry" | "none"; evaluation_id?: string;
    access_request?: { endpoint: string; expires_at: string; binding_token: string };
  };
}
interface Answer {
  task: { id: string; status: string; links?: Record<string, string> };
  result?: { mode: string; approval: Approval };
}

const assent = process.env.ASSENT, agent = process.env.AGENT;
const question = {
  subject: { type: "agent", id: "agent:nightly-exporter" },
  action: {
    name: "copy",
    properties: { kinds: ["data.export"], target: "customers", payload: "COPY customers TO STDOUT -- TypeScript" },
  },
  resource: { type: "postgres", id: "postgres:shop/customers" },
};

/** Any status but 2xx throws; the answer is the JSON that came back. */
async function call<T>(method: string, path: string, body?: object): Promise<T> {
  const answer = await fetch(assent + path, {
    method, headers: { Authorization: `Bearer ${agent}`, "Content-Type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return await answer.json() as T;
}

/** The last word and the exit status. */
async function ask(): Promise<[string, number]> {
  let decision = await call<Decision>("POST", "/access/v1/evaluation", question);
  if (decision.decision) return ["allowed", 0];
  const why = decision.context, requestable = why?.access_request;
  if (why?.next_action !== "request" || !requestable) return [`denied: ${why?.reason}`, 1];
  console.log("asking", why.who);
  const denial = { evaluation_id: why.evaluation_id, expires_at: requestable.expires_at, binding_token: requestable.binding_token };
  let answer = await call<Answer>("POST", "/access/v1/requests", { ...question, denial });
  for (let i = 0; i < 20 && answer.task.status === "pending"; i++) {
    answer = await call<Answer>("GET", `/access/v1/requests/${answer.task.id}?wait=30`);
  }
  if (answer.task.status === "pending") return [`nobody has decided yet: ${answer.task.links?.ticket}`, 75];
  // An unknown status or mode is not approved either.
  if (answer.task.status !== "approved" || answer.result?.mode !== "reevaluate") return [`denied: ${answer.task.status}`, 1];
  // The approval goes back exactly as it came.
  decision = await call<Decision>("POST", "/access/v1/evaluation", { ...question, context: { approval: answer.result.approval } });
  return decision.decision ? ["allowed", 0] : [`denied: ${decision.context?.reason}`, 1];
}

ask().then(([said, status]) => {
  console.log(said);
  process.exit(status);
}, (error: unknown) => {
  console.error(String(error));
  process.exit(1);
});
