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
  assert.equal(count.input_tokens, (await client.messages.create(request)).usage.input_tokens);
});

check("errors have the client's own types", async () => {
  await assert.rejects(client.messages.create({ ...request, model: "nobody" }), (error) => error instanceof Anthropic.NotFoundError && error.error.error.type === "not_found_error" && !!error.requestID);
  await assert.rejects(client.messages.create({ ...request, temperature: 1.5 }), (error) => error instanceof Anthropic.BadRequestError && error.error.type === "error");
});

await runAll();
