// Calls one tool as a real client does, and tells on standard output what its user
// was asked and what came of it, a line of JSON each.
//   node client.mjs KIND URL TOKEN TOOL ARGUMENTS
// KIND: modern, modern-url, modern-tasks, legacy, legacy-url (the second SDK), v1, v1-url (the first).
// -hasty behind it: the client gives up after a second, and calls again until it is told.
import { setTimeout as pause } from 'node:timers/promises'

const [kindArg, url, token, tool, args] = process.argv.slice(2)
const hasty = kindArg.endsWith('-hasty')
const kind = kindArg.replace('-hasty', '')
const tell = (what) => console.log(JSON.stringify(what))
const opens = kind.endsWith('-url')
const capabilities = opens ? { elicitation: { url: {} } } : {}
const headers = { Authorization: 'Bearer ' + token }
const call = { name: tool, arguments: JSON.parse(args) }
const info = { name: 'e2e', version: '1' }

// A user who opens whatever they are shown, at once.
const open = async (request) => {
  tell({ asked: request.params.url })
  return { action: 'accept' }
}

async function first() {
  const { Client } = await import('@modelcontextprotocol/sdk/client/index.js')
  const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js')
  const { ElicitRequestSchema } = await import('@modelcontextprotocol/sdk/types.js')
  const client = new Client(info, { capabilities })
  if (opens) client.setRequestHandler(ElicitRequestSchema, open)
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }))
  return { client, run: (options) => client.callTool(call, undefined, options) }
}

async function second() {
  const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client')
  const mode = kind.startsWith('modern') ? { pin: '2026-07-28' } : 'legacy'
  const client = new Client(info, { capabilities, versionNegotiation: { mode } })
  if (opens) client.setRequestHandler('elicitation/create', open)
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }))
  if (kind === 'modern-tasks') return { client, run: () => asTask(client) }
  return { client, run: (options) => client.callTool(call, options) }
}

// asTask calls the tool with the official package for tasks, which takes the wire from its host.
async function asTask(client) {
  const { createTaskSessionFromClient, resultFromTaskOutcome } = await import('@modelcontextprotocol/ext-tasks/client')
  let id = 1000
  const framing = { protocolVersion: '2026-07-28', clientInfo: info, clientCapabilities: { extensions: { 'io.modelcontextprotocol/tasks': {} } } }
  const rawDispatch = async (request, options) => {
    const named = request.params?.taskId ?? request.params?.name
    const response = await fetch(url, {
      method: 'POST',
      signal: options?.signal,
      headers: {
        ...headers, 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream', 'MCP-Protocol-Version': '2026-07-28',
        'Mcp-Method': request.method, ...(named ? { 'Mcp-Name': named } : {}), ...options?.context?.headers,
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: ++id, ...request }),
    })
    const text = await response.text()
    const message = JSON.parse(text.startsWith('{') ? text : text.split('\n').filter((l) => l.startsWith('data: ')).at(-1).slice(6))
    if (message.result?.status) tell({ task: message.result.status })
    return message.error ? { kind: 'error', error: message.error } : { kind: 'result', result: message.result }
  }
  const session = createTaskSessionFromClient(client, { endpointId: 'e2e', rawDispatch, v2RequestFraming: framing })
  try {
    const execution = await session.callTool(call.name, call.arguments)
    const { outcome } = await execution.settle()
    return resultFromTaskOutcome(outcome)
  } finally {
    await session.close()
  }
}

const { client, run } = await (kind.startsWith('v1') ? first() : second())
let result
for (let tries = 1; ; tries++) {
  try {
    result = await run(hasty ? { timeout: 1000 } : {})
    break
  } catch (e) {
    tell({ error: e.constructor.name, code: e.code, message: e.message })
    if (!hasty || tries === 20) process.exit(1)
    await pause(100)
  }
}
tell({ result: result.content.map((c) => c.text).join(''), isError: result.isError ?? false })
await client.close()
process.exit(0)
