// What clients make of a server that keeps them waiting, and then breaks their streams: the caller fills every slot, lets them wait, and later stops the server.
import assert from "node:assert/strict";
import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { streamText } from "ai";
import { base, check, runAll } from "./harness.mjs";

const messages = [{ role: "user", content: "hello" }];
let pings = 0;
const watching = async (url, init) => {
  const response = await fetch(url, init);
  const [seen, body] = response.body.tee();
  (async () => {
    const decoder = new TextDecoder();
    for await (const piece of seen) {
      pings += (decoder.decode(piece, { stream: true }).match(/^: ping$|^event: ping$/gm) ?? []).length;
    }
  })().catch(() => {});
  return new Response(body, response);
};
const openai = new OpenAI({ baseURL: `${base}/v1`, apiKey: "none", maxRetries: 0, fetch: watching });
const anthropic = new Anthropic({ baseURL: base, apiKey: "none", maxRetries: 0, fetch: watching });
const model = createOpenAICompatible({ name: "trainserve", baseURL: `${base}/v1`, apiKey: "none", fetch: watching })("tiny");

async function readOpenAi(max_tokens) {
  let text = "";
  for await (const chunk of await openai.chat.completions.create({ model: "tiny", messages, stream: true, max_tokens, ignore_eos: true, seed: 1 })) {
    text += chunk.choices[0]?.delta.content ?? "";
  }
  return text;
}

async function readAnthropic(max_tokens) {
  return (await anthropic.messages.stream({ model: "tiny", messages, max_tokens, temperature: 0 }).finalMessage()).content[0].text;
}

async function readAi(maxOutputTokens) {
  let text = "", fault;
  const result = streamText({ model, prompt: "hello", maxOutputTokens, maxRetries: 0, temperature: 0, onError: ({ error }) => { fault ??= error; } });
  try {
    for await (const piece of result.textStream) {
      text += piece;
    }
  } catch (error) {
    fault ??= error;
  }
  if (fault) {
    throw typeof fault === "string" ? new Error(fault) : fault;
  }
  return text;
}

check("a sign of life while they wait does not reach the answer", async () => {
  const texts = await Promise.all([readOpenAi(20), readAnthropic(20), readAi(20)]);
  assert.ok(texts.every((text) => text.length > 0 && !text.includes("ping")), JSON.stringify(texts));
  assert.ok(pings >= 3, `${pings} pings`);
});

check("a stream that breaks is an error that says why", async () => {
  const faults = await Promise.all([readOpenAi, readAnthropic, readAi].map((read) => read(8000).then(() => "no error", (error) => error)));
  assert.ok(faults[0] instanceof OpenAI.APIError, `${faults[0]}`);
  assert.ok(faults[1] instanceof Anthropic.APIError, `${faults[1]}`);
  for (const [i, fault] of faults.entries()) {
    assert.match(`${i}: ${fault.message} ${JSON.stringify(fault)}`, /shutting down/);
  }
});

await runAll();
