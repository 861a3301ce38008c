// Vercel's AI SDK with its client for OpenAI-compatible servers.
import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, streamText, tool } from "ai";
import { base, check, runAll } from "./harness.mjs";

const model = createOpenAICompatible({ name: "trainserve", baseURL: `${base}/v1`, apiKey: "none", includeUsage: true })("tiny");

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

await runAll();
