using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Portal.Data.Postgres
{
    /// <inheritdoc />
    public partial class PolicyAudits : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<Guid>(
                name: "EndpointId",
                table: "Responses",
                type: "uuid",
                nullable: true);

            migrationBuilder.CreateTable(
                name: "AuditTexts",
                columns: table => new
                {
                    JobId = table.Column<Guid>(type: "uuid", nullable: false),
                    PromptId = table.Column<Guid>(type: "uuid", nullable: false),
                    Side = table.Column<int>(type: "integer", nullable: false),
                    Ordinal = table.Column<int>(type: "integer", nullable: false),
                    Part = table.Column<int>(type: "integer", nullable: false),
                    Status = table.Column<int>(type: "integer", nullable: false),
                    ResponseId = table.Column<Guid>(type: "uuid", nullable: true),
                    Finished = table.Column<bool>(type: "boolean", nullable: false),
                    LogProbAudited = table.Column<double>(type: "double precision", nullable: true),
                    LogProbBase = table.Column<double>(type: "double precision", nullable: true),
                    Problem = table.Column<string>(type: "character varying(500)", maxLength: 500, nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_AuditTexts", x => new { x.JobId, x.PromptId, x.Side, x.Ordinal });
                });

            migrationBuilder.CreateTable(
                name: "PolicyAudits",
                columns: table => new
                {
                    JobId = table.Column<Guid>(type: "uuid", nullable: false),
                    ProjectId = table.Column<Guid>(type: "uuid", nullable: false),
                    Number = table.Column<int>(type: "integer", nullable: false),
                    AuditedId = table.Column<Guid>(type: "uuid", nullable: true),
                    BaseId = table.Column<Guid>(type: "uuid", nullable: false),
                    AuditedEndpointId = table.Column<Guid>(type: "uuid", nullable: true),
                    BaseEndpointId = table.Column<Guid>(type: "uuid", nullable: true),
                    AuditedName = table.Column<string>(type: "character varying(200)", maxLength: 200, nullable: false),
                    BaseName = table.Column<string>(type: "character varying(200)", maxLength: 200, nullable: false),
                    ReferenceId = table.Column<Guid>(type: "uuid", nullable: true),
                    SaeId = table.Column<Guid>(type: "uuid", nullable: true),
                    Seed = table.Column<long>(type: "bigint", nullable: false),
                    PromptSource = table.Column<int>(type: "integer", nullable: false),
                    Prompts = table.Column<int>(type: "integer", nullable: false),
                    PromptsOfTraining = table.Column<int>(type: "integer", nullable: false),
                    Pairs = table.Column<int>(type: "integer", nullable: false),
                    Folder = table.Column<string>(type: "text", nullable: false),
                    ManifestSha256 = table.Column<string>(type: "character varying(64)", maxLength: 64, nullable: false),
                    Identifiable = table.Column<int>(type: "integer", nullable: false),
                    Faithful = table.Column<int>(type: "integer", nullable: false),
                    Spurious = table.Column<int>(type: "integer", nullable: false),
                    Sentence = table.Column<string>(type: "character varying(2000)", maxLength: 2000, nullable: false),
                    Method = table.Column<string>(type: "text", nullable: false),
                    Accuracy = table.Column<double>(type: "double precision", nullable: true),
                    AccuracyLow = table.Column<double>(type: "double precision", nullable: true),
                    AccuracyHigh = table.Column<double>(type: "double precision", nullable: true),
                    Undetermined = table.Column<double>(type: "double precision", nullable: true),
                    Distance = table.Column<double>(type: "double precision", nullable: true),
                    DistanceLow = table.Column<double>(type: "double precision", nullable: true),
                    DistanceHigh = table.Column<double>(type: "double precision", nullable: true),
                    IncentivesFound = table.Column<int>(type: "integer", nullable: false),
                    IsSynthetic = table.Column<bool>(type: "boolean", nullable: false),
                    CreatedBy = table.Column<Guid>(type: "uuid", nullable: true),
                    At = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_PolicyAudits", x => x.JobId);
                    table.ForeignKey(
                        name: "FK_PolicyAudits_Projects_ProjectId",
                        column: x => x.ProjectId,
                        principalTable: "Projects",
                        principalColumn: "Id",
                        onDelete: ReferentialAction.Restrict);
                });

            migrationBuilder.CreateIndex(
                name: "IX_PolicyAudits_AuditedId_At",
                table: "PolicyAudits",
                columns: new[] { "AuditedId", "At" });

            migrationBuilder.CreateIndex(
                name: "IX_PolicyAudits_BaseId_At",
                table: "PolicyAudits",
                columns: new[] { "BaseId", "At" });

            migrationBuilder.CreateIndex(
                name: "IX_PolicyAudits_ProjectId_Number",
                table: "PolicyAudits",
                columns: new[] { "ProjectId", "Number" },
                unique: true);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "AuditTexts");

            migrationBuilder.DropTable(
                name: "PolicyAudits");

            migrationBuilder.DropColumn(
                name: "EndpointId",
                table: "Responses");
        }
    }
}
