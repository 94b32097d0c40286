/* What containerd's shim for WasmEdge does with a container's program, and nothing else of it: variables that begin with
 * WASMEDGE_ are the process's own, all files of the container are the program's, and WASMEDGE_WASINN_PRELOAD is handed to
 * the plugin as one preload. Only for tests: no namespaces, no limits.
 *
 * usage: shim PROGRAM.wasm [ARGUMENT…]
 */
#include <stdio.h>
#include <stdlib.h>

#include <wasmedge/wasmedge.h>

extern char **environ;

static void hold(WasmEdge_Result result, const char *what) {
  if (WasmEdge_ResultOK(result))
    return;
  fprintf(stderr, "shim: %s: %s\n", what, WasmEdge_ResultGetMessage(result));
  exit(137);
}

static WasmEdge_ModuleInstanceContext *wasi_nn(void) {
  WasmEdge_PluginLoadWithDefaultPaths();
  const char *preload = getenv("WASMEDGE_WASINN_PRELOAD");
  if (preload != NULL)
    WasmEdge_PluginInitWASINN(&preload, 1);
  WasmEdge_String name = WasmEdge_StringCreateByCString("wasi_nn");
  const WasmEdge_PluginContext *plugin = WasmEdge_PluginFind(name);
  if (plugin == NULL) {
    fprintf(stderr, "shim: no plugin wasi_nn in WASMEDGE_PLUGIN_PATH\n");
    exit(137);
  }
  return WasmEdge_PluginCreateModule(plugin, name);
}

int main(int argc, const char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: shim PROGRAM.wasm [ARGUMENT...]\n");
    return 2;
  }
  uint32_t variables = 0;
  while (environ[variables] != NULL)
    variables++;
  const char *files[] = {"/:/"};
  WasmEdge_ModuleInstanceContext *wasi = WasmEdge_ModuleInstanceCreateWASI(
      argv + 1, (uint32_t)argc - 1, (const char *const *)environ, variables, files, 1);
  WasmEdge_ConfigureContext *configure = WasmEdge_ConfigureCreate();
  WasmEdge_LoaderContext *loader = WasmEdge_LoaderCreate(configure);
  WasmEdge_ValidatorContext *validator = WasmEdge_ValidatorCreate(configure);
  WasmEdge_ExecutorContext *executor = WasmEdge_ExecutorCreate(configure, NULL);
  WasmEdge_StoreContext *store = WasmEdge_StoreCreate();
  WasmEdge_ASTModuleContext *parsed = NULL;
  WasmEdge_ModuleInstanceContext *program = NULL;
  hold(WasmEdge_ExecutorRegisterImport(executor, store, wasi_nn()), "the plugin's module");
  hold(WasmEdge_ExecutorRegisterImport(executor, store, wasi), "WASI");
  hold(WasmEdge_LoaderParseFromFile(loader, &parsed, argv[1]), argv[1]);
  hold(WasmEdge_ValidatorValidate(validator, parsed), argv[1]);
  hold(WasmEdge_ExecutorInstantiate(executor, &program, store, parsed), argv[1]);
  const WasmEdge_FunctionInstanceContext *start =
      WasmEdge_ModuleInstanceFindFunction(program, WasmEdge_StringCreateByCString("_start"));
  hold(WasmEdge_ExecutorInvoke(executor, start, NULL, 0, NULL, 0), "_start");
  return (int)WasmEdge_ModuleInstanceWASIGetExitCode(wasi);
}
