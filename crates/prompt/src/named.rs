//! Templates by name, for models whose header has none or a broken one.
//!
//! They say what the formats are in as few words as possible: roles, markers, white space.

/// The names `named_template` knows first, for messages and help.
pub const NAMED_TEMPLATES: [&str; 7] = [
    "chatml", "llama-2", "llama-3", "gemma", "mistral", "phi-3", "zephyr",
];

const CHATML: &str = "\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif -%}
";

const LLAMA_2: &str = "\
{%- set ns = namespace(system='') -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}
{%- set ns.system = '<<SYS>>\\n' + message.content + '\\n<</SYS>>\\n\\n' -%}
{%- elif message.role == 'user' -%}
{{ bos_token + '[INST] ' + ns.system + message.content + ' [/INST]' }}{%- set ns.system = '' -%}
{%- else -%}
{{ ' ' + message.content + ' ' + eos_token }}
{%- endif -%}
{%- endfor -%}
";

const LLAMA_3: &str = "\
{{- bos_token -}}
{%- for message in messages -%}
{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content | trim + '<|eot_id|>' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif -%}
";

const GEMMA: &str = "\
{{- bos_token -}}
{%- set ns = namespace(system='') -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}
{%- set ns.system = ns.system + message.content | trim + '\\n\\n' -%}
{%- else -%}
{%- set role = 'model' if message.role == 'assistant' else message.role -%}
{{ '<start_of_turn>' + role + '\\n' + ns.system + message.content | trim + '<end_of_turn>\\n' }}{%- set ns.system = '' -%}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif -%}
";

const MISTRAL: &str = "\
{{- bos_token -}}
{%- set ns = namespace(system='') -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}
{%- set ns.system = ns.system + message.content + '\\n\\n' -%}
{%- elif message.role == 'user' -%}
{{ '[INST] ' + ns.system + message.content + ' [/INST]' }}{%- set ns.system = '' -%}
{%- else -%}
{{ ' ' + message.content + eos_token }}
{%- endif -%}
{%- endfor -%}
";

const PHI_3: &str = "\
{%- for message in messages -%}
{{ '<|' + message.role + '|>\\n' + message.content + '<|end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif -%}
";

const ZEPHYR: &str = "\
{%- for message in messages -%}
{{ '<|' + message.role + '|>\\n' + message.content + eos_token + '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif -%}
";

/// The template called `name`, also by the names GaiaNet's nodes use.
pub fn named_template(name: &str) -> Option<&'static str> {
    match name {
        "chatml" | "qwen" => Some(CHATML),
        "llama-2" | "llama-2-chat" => Some(LLAMA_2),
        "llama-3" | "llama-3-chat" => Some(LLAMA_3),
        "gemma" | "gemma-instruct" | "gemma-3" => Some(GEMMA),
        "mistral" | "mistral-instruct" => Some(MISTRAL),
        "phi-3" | "phi-3-chat" => Some(PHI_3),
        "zephyr" => Some(ZEPHYR),
        _ => None,
    }
}
