// Does Swagger's own parser take the document?  node swagger.cjs FILE
const { default: SwaggerParser } = require('@apidevtools/swagger-parser');
(SwaggerParser ?? require('@apidevtools/swagger-parser')).validate(process.argv[2]).then(
    () => console.log('ok'), (e) => { console.error(String(e).slice(0, 2000)); process.exit(1); });
