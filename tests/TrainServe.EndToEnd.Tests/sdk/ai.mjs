// Vercel's AI SDK with its client for OpenAI-compatible servers.
import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embed, generateText, jsonSchema, Output, streamText, tool } from "ai";
import { base, check, runAll } from "./harness.mjs";

const provider = createOpenAICompatible({ name: "trainserve", baseURL: `${base}/v1`, apiKey: "none", includeUsage: true, supportsStructuredOutputs: true });
const model = provider("tiny");

check("a text, whole and in a stream", async () => {
  const options = { model, prompt: "hello world", maxOutputTokens: 20, seed: 1, maxRetries: 0 };
  const whole = await generateText(options);
  const stream = streamText(options);
  let text = "";
  for await (const piece of stream.textStream) {
    text += piece;
  }
  assert.equal(text, whole.text);
  assert.deepEqual((await stream.usage).outputTokens, whole.usage.outputTokens);
});

check("a tool is called", async () => {
  const result = await generateText({
    model, prompt: "hello", maxOutputTokens: 200, toolChoice: "required", maxRetries: 0, seed: 2,
    tools: { get_weather: tool({ description: "The weather.", inputSchema: jsonSchema({ type: "object", properties: { days: { type: "integer", minimum: 1, maximum: 7 } }, required: ["days"], additionalProperties: false }) }) },
  });
  assert.ok(result.toolCalls.length > 0 && result.toolCalls.every((call) => call.input.days >= 1 && call.input.days <= 7));
});

check("a tool is called in a stream", async () => {
  const stream = streamText({
    model, prompt: "hello", maxOutputTokens: 200, toolChoice: "required", maxRetries: 0, seed: 2,
    tools: { get_weather: tool({ description: "The weather.", inputSchema: jsonSchema({ type: "object", properties: { days: { type: "integer", minimum: 1, maximum: 7 } }, required: ["days"], additionalProperties: false }) }) },
  });
  const calls = await stream.toolCalls;
  assert.ok(calls.length > 0 && calls.every((call) => call.input.days >= 1 && call.input.days <= 7));
});

check("structured outputs", async () => {
  const schema = jsonSchema({ type: "object", properties: { a: { type: "boolean" } }, required: ["a"], additionalProperties: false });
  const { output } = await generateText({ model, prompt: "hello", maxOutputTokens: 60, maxRetries: 0, seed: 3, output: Output.object({ schema }) });
  assert.equal(typeof output.a, "boolean");
});

check("embeddings", async () => {
  const { embedding, usage } = await embed({ model: provider.embeddingModel("tiny"), value: "hello", maxRetries: 0 });
  assert.ok(Math.abs(Math.hypot(...embedding) - 1) < 1e-4 && usage.tokens > 0);
});

check("leaving a stream", async () => {
  const leave = new AbortController();
  let chunks = 0;
  for await (const _ of streamText({ model, prompt: "hello", maxOutputTokens: 5000, abortSignal: leave.signal, maxRetries: 0 }).textStream) {
    if (++chunks === 3) {
      leave.abort();
    }
  }
  assert.ok(chunks >= 3 && chunks < 2000);
});

check("errors have the client's own type", async () => {
  await assert.rejects(generateText({ model: provider("nobody"), prompt: "hello", maxRetries: 0 }), (error) => APICallError.isInstance(error) && error.statusCode === 404 && error.message.includes("does not exist"));
});

await runAll();
