// Writes tokenizer_parity.json: the ids and texts that the npm package @huggingface/tokenizers gives for the vocabularies in
// tokenizer_parity_vocabularies.json (made by our trainer) and the cases in tokenizer_parity_texts.json.
//   npm install @huggingface/tokenizers@0.2.0 (in any folder outside the repository)
//   NODE_PATH=that folder's node_modules node tests/Golden/tokenizer_parity.mjs
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { Tokenizer } = createRequire(import.meta.url)('@huggingface/tokenizers');
const here = new URL('.', import.meta.url);
const read = name => JSON.parse(readFileSync(new URL(name, here), 'utf8'));

const texts = read('tokenizer_parity_texts.json').cases;
const vocabularies = read('tokenizer_parity_vocabularies.json');
const cases = [];
for (const [name, json] of Object.entries(vocabularies)) {
  const tokenizer = new Tokenizer(json, { clean_up_tokenization_spaces: false });
  for (const text of texts) {
    const { ids } = tokenizer.encode(text, { add_special_tokens: false });
    cases.push({
      vocabulary: name,
      text,
      ids,
      decoded: ids.length ? tokenizer.decode(ids, { skip_special_tokens: false }) : '',
      decodedWithoutSpecial: ids.length ? tokenizer.decode(ids, { skip_special_tokens: true }) : '',
    });
  }
}
const lines = cases.map(c => '  ' + JSON.stringify(c));
writeFileSync(
  new URL('tokenizer_parity.json', here),
  `{"from": "npm @huggingface/tokenizers 0.2.0, tests/Golden/tokenizer_parity.mjs", "cases": [\n${lines.join(',\n')}\n]}\n`);
console.log(`${cases.length} cases`);
