// Anthropic's client for Node takes the server for the real thing.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { base, check, runAll } from "./harness.mjs";

const client = new Anthropic({ baseURL: base, apiKey: "none", maxRetries: 0 });
const request = { model: "tiny", max_tokens: 30, system: "Be brief.", messages: [{ role: "user", content: "hello world" }], temperature: 0 };

check("a whole message", async () => {
  const message = await client.messages.create(request);
  assert.equal(message.type, "message");
  assert.ok(["end_turn", "max_tokens"].includes(message.stop_reason));
  assert.ok(message.usage.output_tokens > 0 && message.usage.output_tokens <= 30);
  assert.ok(message._request_id);
});

check("a stream says the same as a whole message", async () => {
  const whole = await client.messages.create(request);
  const stream = client.messages.stream(request);
  const events = [];
  stream.on("streamEvent", (event) => events.push(event.type));
  const final = await stream.finalMessage();
  assert.deepEqual(final.content, whole.content);
  assert.deepEqual([final.stop_reason, final.usage.output_tokens], [whole.stop_reason, whole.usage.output_tokens]);
  assert.equal(events[0], "message_start");
  assert.equal(events.at(-1), "message_stop");
});

check("counting tokens", async () => {
  const { max_tokens, temperature, ...prompt } = request;
  const count = await client.messages.countTokens(prompt);
  const { usage } = await client.messages.create(request);
  assert.equal(count.input_tokens, usage.input_tokens + usage.cache_read_input_tokens);
});

check("tools are called, whole and in a stream, and their results are read", async () => {
  const tools = [{ name: "get_weather", description: "The weather.", input_schema: { type: "object", properties: { days: { type: "integer", minimum: 1, maximum: 7 } }, required: ["days"] } }];
  const body = { ...request, max_tokens: 200, tools, tool_choice: { type: "any", disable_parallel_tool_use: true } };
  const message = await client.messages.create(body);
  assert.equal(message.stop_reason, "tool_use");
  const use = message.content.at(-1);
  assert.ok(use.type === "tool_use" && use.input.days >= 1 && use.input.days <= 7);
  const streamed = await client.messages.stream(body).finalMessage();
  assert.deepEqual(streamed.content.at(-1).input, use.input);
  await client.messages.create({ ...request, tools, messages: [...request.messages, { role: "assistant", content: message.content }, { role: "user", content: [{ type: "tool_result", tool_use_id: use.id, content: "rain" }] }] });
});

check("structured outputs", async () => {
  const schema = { type: "object", properties: { a: { type: "boolean" }, b: { enum: ["x", "y"] } }, required: ["a", "b"], additionalProperties: false };
  const message = await client.messages.create({ ...request, max_tokens: 100, output_config: { format: { type: "json_schema", schema } } });
  const thing = JSON.parse(message.content[0].text);
  assert.ok(typeof thing.a === "boolean" && ["x", "y"].includes(thing.b));
});

check("leaving a stream", async () => {
  const stream = client.messages.stream({ ...request, max_tokens: 5000 });
  stream.on("text", () => stream.abort());
  await assert.rejects(stream.finalMessage(), Anthropic.APIUserAbortError);
});

check("errors have the client's own types", async () => {
  await assert.rejects(client.messages.create({ ...request, model: "nobody" }), (error) => error instanceof Anthropic.NotFoundError && error.error.error.type === "not_found_error" && !!error.requestID);
  await assert.rejects(client.messages.create({ ...request, temperature: 1.5 }), (error) => error instanceof Anthropic.BadRequestError && error.error.type === "error");
});

await runAll();
