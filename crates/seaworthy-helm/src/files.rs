//! `.Files`: the chart's own files, as templates read them.

use std::rc::Rc;

use base64::Engine as _;
use seaworthy_template::{Failure, Object, Param, Value, yaml};

use crate::chart::File;
use crate::glob;

/// The files a template may read; a glob yields a smaller set of the same kind.
pub(crate) struct Files(Vec<(String, Rc<[u8]>)>);

impl Files {
    pub fn value(files: &[File]) -> Value {
        let files = files.iter().map(|file| (file.name.clone(), Rc::from(file.data.as_slice()))).collect();
        Value::Object(Rc::new(Files(files)))
    }

    fn get(&self, name: &str) -> &[u8] {
        self.0.iter().find(|(known, _)| known == name).map_or(&[], |(_, data)| data)
    }

    fn glob(&self, pattern: &str) -> Value {
        let matches = |name: &str| glob::matches(pattern, name, glob::Dialect::Files);
        Value::Object(Rc::new(Files(self.0.iter().filter(|(name, _)| matches(name)).cloned().collect())))
    }

    /// `name: content` by base name, as YAML.
    fn as_map(&self, encode: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let entries =
            self.0.iter().map(|(name, data)| (seaworthy_template::path_base(name), Value::str(encode(data))));
        let text = yaml::write(&Value::map(entries)).unwrap_or_default();
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    }

    fn lines(&self, name: &str) -> Value {
        let data = self.get(name);
        if data.is_empty() {
            return Value::strings(Vec::<Vec<u8>>::new());
        }
        Value::strings(data.strip_suffix(b"\n").unwrap_or(data).split(|b| *b == b'\n'))
    }
}

impl Object for Files {
    fn type_name(&self) -> &'static str {
        "engine.files"
    }

    fn kind(&self) -> &'static str {
        "map"
    }

    /// A file that is not there reads as no bytes.
    fn field(&self, name: &str) -> Option<Value> {
        let found = self.0.iter().find(|(known, _)| known == name);
        Some(Value::Bytes(found.map_or_else(|| Rc::from([].as_slice()), |(_, data)| data.clone())))
    }

    fn method(&self, name: &str) -> Option<&'static [Param]> {
        match name {
            "Get" | "GetBytes" | "Glob" | "Lines" => Some(&[Param::Str]),
            "AsConfig" | "AsSecrets" => Some(&[]),
            _ => None,
        }
    }

    fn call(&self, name: &str, args: &[Value]) -> Result<Value, Failure> {
        let argument =
            args.first().and_then(Value::as_bytes).map(String::from_utf8_lossy).unwrap_or_default();
        Ok(match name {
            "Get" => Value::str(self.get(&argument)),
            "GetBytes" => Value::Bytes(self.get(&argument).into()),
            "Glob" => self.glob(&argument),
            "Lines" => self.lines(&argument),
            "AsConfig" => Value::str(self.as_map(<[u8]>::to_vec)),
            _ => Value::str(
                self.as_map(|data| base64::engine::general_purpose::STANDARD.encode(data).into_bytes()),
            ),
        })
    }

    fn plain(&self) -> Value {
        Value::map(self.0.iter().map(|(name, data)| (name.as_str(), Value::Bytes(data.clone()))))
    }
}
